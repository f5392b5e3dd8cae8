import type { CountryCode } from 'libphonenumber-js/max';
import { normaliseEmail } from '../../lib/email-address.ts';
import { classifyPasswordHash } from '../../lib/password-hash/classify-password-hash.ts';
import { PHONE_NUMBER_LENGTH_MAX, toE164 } from '../../lib/phone-number.ts';
import { refuse, type Refusal } from './import-reasons.ts';

/** The fields of a user that are taken over, each with the names that a file may have for it, best first. */
export const defaultFieldNames = {
  id: ['id', 'pk'],
  phone_number: ['phone_number', 'username'],
  email: ['email'],
  password: ['password'],
  date_joined: ['date_joined'],
  last_login: ['last_login'],
  is_active: ['is_active'],
  is_staff: ['is_staff'],
} as const satisfies Record<string, readonly string[]>;

export type FieldName = keyof typeof defaultFieldNames;
export type FieldNames = Readonly<Record<FieldName, readonly string[]>>;

/** One user of the file by the file's own names: texts of a CSV, values of JSON. */
export type SourceFields = Readonly<Record<string, unknown>>;

/** A user of the former system, understood and checked. */
export interface FormerUser {
  /** Its primary key there; null when the file has none. */
  readonly formerId: string | null;
  readonly phoneNumberE164: string;
  /** As it was written there, which is what answers repeat. */
  readonly phoneNumber: string;
  readonly email: string | null;
  /** There was something in the field, and it is no address. */
  readonly hasInvalidEmail: boolean;
  /** Null: nobody logs in with a password. */
  readonly passwordHash: string | null;
  readonly createdAt: Date | null;
  readonly lastLoginAt: Date | null;
  readonly isDisabled: boolean;
  readonly isStaff: boolean;
}

/** A user that is not taken over. */
export interface RefusedUser {
  readonly formerId: string | null;
  readonly refusal: Refusal;
}

/** A UUID and more; longer keys are no keys. */
const FORMER_ID_LENGTH_MAX = 64;

/** The forms of Django, PostgreSQL and MySQL. Without an offset it is UTC, as Django stores it. */
const DATE_EXPRESSION =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(\.\d{1,9})? ?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/;

const booleanTexts: ReadonlyMap<string, boolean> = new Map([
  ...['true', 't', '1', 'yes', 'y'].map((text) => [text, true] as const),
  ...['false', 'f', '0', 'no', 'n'].map((text) => [text, false] as const),
]);

/** Thrown while a user is read, so that the first wrong field ends it. */
class FieldError extends Error {
  readonly refusal: Refusal;

  constructor({ refusal }: { refusal: Refusal }) {
    super(refusal.reason);
    this.refusal = refusal;
  }
}

/** The database's texts have no place for a NUL, whatever the format of a hash allows. */
const refuseNul = { isSupported: false, reason: 'malformed' } as const;

/** The value of a field; null when the file has none, or an empty text. */
function valueOf(fields: SourceFields, names: readonly string[]): unknown {
  const name = names.find((candidate) => Object.hasOwn(fields, candidate));
  const value = name === undefined ? null : fields[name];
  return value === '' || value === undefined ? null : value;
}

function readText(value: unknown, field: FieldName): string | null {
  if (value === null || typeof value === 'string') return value;
  throw new FieldError(refuse('invalid_field', `${field} is no text`));
}

function readBoolean(value: unknown, field: FieldName, absent: boolean): boolean {
  if (value === null) return absent;
  if (typeof value === 'boolean') return value;
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
  const known = booleanTexts.get(text.toLowerCase());
  if (known === undefined) throw new FieldError(refuse('invalid_field', `${field} is neither true nor false`));
  return known;
}

function readDate(value: unknown, field: FieldName): Date | null {
  const text = readText(value, field);
  if (text === null) return null;
  const [, day = '', time = '', fraction = '', zone = 'Z'] = DATE_EXPRESSION.exec(text) ?? [];
  const offset = zone === 'UTC' ? 'Z' : zone.replace(/^([+-]\d{2})$/, '$1:00').replace(/^([+-]\d{2})(\d{2})$/, '$1:$2');
  const date = new Date(`${day}T${time}${fraction.slice(0, 4)}${offset}`);
  // Outside of these years it is a mistake, or a form of the year that the database does not read.
  const isSensible = date.getUTCFullYear() >= 1900 && date.getUTCFullYear() < 2200;
  if (!isSensible) throw new FieldError(refuse('invalid_field', `${field} is no time`));
  return date;
}

/** @returns undefined for what is no key */
function readFormerId(value: unknown): string | null | undefined {
  if (value === null) return null;
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '';
  return text === '' || text.length > FORMER_ID_LENGTH_MAX || text.includes('\0') ? undefined : text;
}

function readPasswordHash(value: unknown): string | null {
  const text = readText(value, 'password');
  if (text === null) return null;
  const read = text.includes('\0') ? refuseNul : classifyPasswordHash(text);
  if (read.isSupported) return text;
  if (read.reason === 'no_password') return null;
  throw new FieldError(refuse(`password_${read.reason}`));
}

/** @throws FieldError for the first field that is wrong */
function readAccount(get: (field: FieldName) => unknown, region: CountryCode): Omit<FormerUser, 'formerId'> {
  const phoneNumber = readText(get('phone_number'), 'phone_number');
  if (phoneNumber === null) throw new FieldError(refuse('missing_phone_number'));
  const phoneNumberE164 = phoneNumber.length > PHONE_NUMBER_LENGTH_MAX ? null : toE164(phoneNumber, region);
  if (phoneNumberE164 === null) throw new FieldError(refuse('invalid_phone_number'));
  const writtenEmail = readText(get('email'), 'email');
  const email = writtenEmail === null ? null : normaliseEmail(writtenEmail);
  return {
    phoneNumberE164,
    phoneNumber,
    email,
    hasInvalidEmail: writtenEmail !== null && email === null,
    passwordHash: readPasswordHash(get('password')),
    createdAt: readDate(get('date_joined'), 'date_joined'),
    lastLoginAt: readDate(get('last_login'), 'last_login'),
    isDisabled: !readBoolean(get('is_active'), 'is_active', true),
    isStaff: readBoolean(get('is_staff'), 'is_staff', false),
  };
}

/** Reads and checks one user. @param region whose national way of writing numbers is understood */
export function readFormerUser(
  fields: SourceFields,
  names: FieldNames,
  region: CountryCode,
): FormerUser | RefusedUser {
  const get = (field: FieldName): unknown => valueOf(fields, names[field]);
  const formerId = readFormerId(get('id'));
  if (formerId === undefined) return { formerId: null, ...refuse('invalid_id') };
  try {
    return { formerId, ...readAccount(get, region) };
  } catch (error) {
    if (error instanceof FieldError) return { formerId, refusal: error.refusal };
    throw error;
  }
}
