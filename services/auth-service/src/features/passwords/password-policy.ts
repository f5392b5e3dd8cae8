import type { FieldProblem } from '@infrasignal/shared';
import { dictionary } from '@zxcvbn-ts/language-common';
import { normalisePassword } from '../../lib/password-hasher.ts';
import type { BreachedPasswords } from './breached-passwords.ts';
import { passwordFieldErrors } from './passwords-errors.ts';

/** 256 code points: four times what OWASP asks to allow, and a hash of it costs no more than of a short one. */
export const PASSWORD_LENGTH_MAX = 256;

export interface PasswordPolicyOptions {
  /** Code points after NFC. */
  readonly lengthMin: number;
  /** False with DEBUG, whose inherited examples register with `password123`. */
  readonly refusesCommon: boolean;
  /** Null: nobody is asked. */
  readonly breaches: Pick<BreachedPasswords, 'has'> | null;
}

/** What an attacker knows about the account and tries first. */
export interface PasswordContext {
  readonly phoneNumbers: readonly string[];
  readonly email: string | null;
}

const PRODUCT_NAME = 'infrasignal';

/** The 49,233 most common passwords, in lower case: case does not make one uncommon. */
const commonPasswords: ReadonlySet<string> = new Set(
  dictionary['passwords-common'].map((password) => String(password).toLowerCase()),
);

function toProblem(code: keyof typeof passwordFieldErrors, detail?: string): FieldProblem {
  return { pointer: '/password', code, detail: detail ?? passwordFieldErrors[code].detail };
}

/** With fewer digits of the number in it, the rest of a password is what has to be guessed. */
const NUMBER_DIGITS_MIN = 6;

function digitsOf(text: string): string {
  return text.replace(/\D/g, '');
}

/** The digits of a password that is a number and nothing else, without leading zeros; null for every other one. */
function numberOf(password: string): string | null {
  const plain = password.normalize('NFKC').replace(/^tel:/, '');
  if (!/^[\d\s\p{P}\p{S}]+$/u.test(plain)) return null;
  const digits = digitsOf(plain).replace(/^0+/, '');
  return digits.length < NUMBER_DIGITS_MIN ? null : digits;
}

/** Accepts passwords by length and by what is guessed first; no composition rules (NIST SP 800-63B section 3.1.1). */
export class PasswordPolicy {
  readonly #options: PasswordPolicyOptions;

  constructor(options: PasswordPolicyOptions) {
    this.#options = options;
  }

  /** @returns what is wrong with the password, or null */
  check(password: string, context: PasswordContext): FieldProblem | null {
    const normal = normalisePassword(password);
    const length = [...normal].length;
    const { lengthMin, refusesCommon } = this.#options;
    if (length < lengthMin) {
      return toProblem('password_too_short', `This password is shorter than ${lengthMin} characters.`);
    }
    if (length > PASSWORD_LENGTH_MAX) return toProblem('password_too_long');
    return refusesCommon && this.#isGuessable(normal.toLowerCase(), context) ? toProblem('password_common') : null;
  }

  /**
   * Asks about breaches, of a password that `check` accepts. Its answer is the code of the common ones, which a client
   * knows already: what is to be done about it is the same.
   */
  async checkBreaches(password: string): Promise<FieldProblem | null> {
    const { breaches, refusesCommon } = this.#options;
    if (breaches === null || !refusesCommon || !(await breaches.has(password))) return null;
    return toProblem('password_common', 'This password is known from a data breach: attackers try those first.');
  }

  #isGuessable(password: string, { phoneNumbers, email }: PasswordContext): boolean {
    if (commonPasswords.has(password) || password === PRODUCT_NAME) return true;
    const localPart = email?.split('@', 1)[0]?.toLowerCase();
    if (password === localPart || password === email?.toLowerCase()) return true;
    const number = numberOf(password);
    return number !== null && phoneNumbers.some((phoneNumber) => digitsOf(phoneNumber).endsWith(number));
  }
}
