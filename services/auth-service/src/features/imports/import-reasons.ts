/**
 * Why a user of the file is not imported, or not quite as the file has it. The codes stand in the report, and operators
 * filter by them, so they are never renamed.
 */
export const refusalReasons = {
  not_json: 'The line is no JSON.',
  not_a_user: 'This is no object with the fields of a user.',
  too_long: 'The line is longer than any user can be.',
  wrong_columns: 'The line has another number of columns than the header.',
  missing_phone_number: 'There is no phone number.',
  invalid_phone_number: 'No telephone network could have this number.',
  duplicate_phone_number: 'Several users of the file have this number; keep one of them.',
  invalid_id: 'The id is no whole number that an account can have; --new-ids gives new ones.',
  duplicate_id: 'Several users of the file have this id.',
  id_taken: 'The id belongs, or has belonged, to an account that was made here; --new-ids gives new ones.',
  invalid_field: 'A field has a value that it cannot have.',
  password_unsalted: 'The password hash has no salt; empty it to import the user without a password.',
  password_too_weak: 'The password hash is of a broken kind; empty it to import the user without a password.',
  password_too_expensive: 'Checking the password hash would cost too much; empty it to import the user without one.',
  password_malformed: 'The password hash is damaged; empty it to import the user without a password.',
  password_unknown_format: 'Nothing is known of this kind of password hash; empty it to import the user without one.',
} as const;
export type RefusalReason = keyof typeof refusalReasons;

/** An account with the number is here already: it may have changed since, and is left as it is. */
export const skipReasons = {
  phone_number_taken: 'An account with this number exists; it is left as it is.',
} as const;
export type SkipReason = keyof typeof skipReasons;

export const noteReasons = {
  email_invalid: 'Imported without its e-mail address, which is none.',
  email_duplicate: 'Imported without its e-mail address, which several users of the file have.',
  email_taken: 'Imported without its e-mail address, which an account here has.',
  staff: 'Imported without rights: it was staff. `infrasignal scopes grant` gives what it needs.',
} as const;
export type NoteReason = keyof typeof noteReasons;

/** What stands against one user, and what more there is to say than the reason does. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail?: string;
}

export function refuse(reason: RefusalReason, detail?: string): { readonly refusal: Refusal } {
  return { refusal: detail === undefined ? { reason } : { reason, detail } };
}
