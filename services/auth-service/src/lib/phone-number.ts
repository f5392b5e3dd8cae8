import { defineErrors, type FieldProblem } from '@infrasignal/shared';
import { parsePhoneNumberWithError, type CountryCode } from 'libphonenumber-js/max';

/** 64 characters: the longest way to write a number (`tel:`, spaces, dashes) is under 40. */
export const PHONE_NUMBER_LENGTH_MAX = 64;

/** Full-width forms (U+FF01 to U+FF5E) stand this far behind the ASCII characters that they are. */
const FULL_WIDTH_OFFSET = 0xfee0;

/**
 * The parser refuses text around a number, and counts `tel:` and a full-width plus as such. RFC 3966 parameters
 * (`;ext=`, `;isub=`) are no part of an account's number, and what stands in them is anybody's text.
 * @returns null for a number with parameters or control characters
 */
function toPlainNumber(phoneNumber: string): string | null {
  const ascii = phoneNumber.replace(/[\uff01-\uff5e]/g, (form) =>
    String.fromCharCode(form.charCodeAt(0) - FULL_WIDTH_OFFSET),
  );
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  return /[;\u0000-\u001f\u007f]/.test(ascii) ? null : ascii.trim().replace(/^tel:/i, '');
}

/**
 * The E.164 form of a phone number however it was typed: national (of `region`), international with `+` or `00`,
 * `tel:` URI, spaces, dashes, full-width digits.
 * @returns null for what no telephone network could route, and for a number with an extension, which is no account
 */
export function toE164(phoneNumber: string, region: CountryCode): string | null {
  const plain = toPlainNumber(phoneNumber);
  if (plain === null) return null;
  try {
    const parsed = parsePhoneNumberWithError(plain, { defaultCountry: region, extract: false });
    return parsed.isValid() && parsed.ext === undefined ? parsed.number : null;
  } catch {
    return null;
  }
}

export const phoneNumberFieldErrors = defineErrors({
  invalid_phone_number: [400, 'Invalid phone number', 'No telephone network could have this number.'],
});

/** The field problem of a number that {@link toE164} refuses. */
export function phoneNumberProblem(): FieldProblem {
  const { code, detail } = phoneNumberFieldErrors.invalid_phone_number;
  return { pointer: '/phone_number', code, detail };
}
