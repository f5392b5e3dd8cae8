import { defineErrors, type FieldProblem } from '@infrasignal/shared';
import { parsePhoneNumberWithError, type CountryCode } from 'libphonenumber-js/max';

/** 64 characters: the longest way to write a number (`tel:`, spaces, dashes) is under 40. */
export const PHONE_NUMBER_LENGTH_MAX = 64;

/**
 * The E.164 form of a phone number however it was typed: national (of `region`), international with `+` or `00`,
 * `tel:` URI, spaces, dashes, full-width digits.
 * @returns null for what no telephone network could route, and for a number with an extension, which is no account
 */
export function toE164(phoneNumber: string, region: CountryCode): string | null {
  try {
    const parsed = parsePhoneNumberWithError(phoneNumber, { defaultCountry: region, extract: false });
    return parsed.isValid() && parsed.ext === undefined ? parsed.number : null;
  } catch {
    return null;
  }
}

export const phoneNumberErrors = defineErrors({
  invalid_phone_number: [400, 'Invalid phone number', 'No telephone network could have this number.'],
});

/** The field problem of a number that {@link toE164} refuses. */
export function phoneNumberProblem(): FieldProblem {
  const { code, detail } = phoneNumberErrors.invalid_phone_number;
  return { pointer: '/phone_number', code, detail };
}
