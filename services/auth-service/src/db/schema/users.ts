import { sql } from 'drizzle-orm';
import { bigint, check, index, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/**
 * A password hash without its salt and digest: what is left names the kind and its cost. A format that is not listed
 * leaves nothing. Changed together with `lib/password-hash/`, and with a migration, for there is an index on it.
 */
const passwordKindExpression = String.raw`regexp_replace(password_hash, '${[
  '^(scrypt[$][0-9]+)[$][^$]*([$][0-9]+[$][0-9]+)[$].*$',
  '^((?:argon2)?[$]argon2id?[$]v=[0-9]+[$][^$]*|pbkdf2_sha(?:1|256)[$][0-9]+|bcrypt(?:_sha256)?[$][$]2[aby][$][0-9]+)[$].*$',
  '^.*$',
].join('|')}', '\1\2\3')`;

/** As SQL on a row of `users`; the index serves whatever spells it like this. */
export const passwordKind = sql.raw(passwordKindExpression);

/** One person, one account. */
export const users = pgTable(
  'users',
  {
    id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    /** A person, or another team's service: that has scopes, sessions and revocations like a person, and no number. */
    kind: text('kind', { enum: ['person', 'service'] })
      .notNull()
      .default('person'),
    /** E.164: the identity of the account, whatever way the number was typed. Null for a service. */
    phoneNumberE164: text('phone_number_e164').unique('users_phone_number_e164_unique'),
    /** As the user wrote it; what the inherited contract answers with. Of a service its name. */
    phoneNumber: text('phone_number').notNull(),
    /** Domain folded to lower case; the local part belongs to its mail server and keeps its case. */
    email: text('email').unique('users_email_unique'),
    /** Of any kind in `lib/password-hash/`; null: an account without a password. */
    passwordHash: text('password_hash'),
    /** The newest `seq` of this user's events. Taken under this row's lock, so it has no gaps. */
    eventSeq: bigint('event_seq', { mode: 'number' }).notNull().default(0),
    /** What this account may do beyond its own: `notifications:all` for staff. Granted by command only. */
    scopes: text('scopes')
      .array()
      .notNull()
      .default(sql`'{}'`),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
    lastLoginAt: timestamp('last_login_at', { withTimezone: true }),
    disabledAt: timestamp('disabled_at', { withTimezone: true }),
  },
  (table) => [
    check('users_phone_number_e164_form', sql`${table.phoneNumberE164} ~ '^\\+[1-9][0-9]{3,14}$'`),
    check('users_person_has_number', sql`(${table.kind} = 'person') = (${table.phoneNumberE164} is not null)`),
    check('users_kind_known', sql`${table.kind} in ('person', 'service')`),
    check('users_event_seq_positive', sql`${table.eventSeq} >= 0`),
    index('users_password_kind_index').on(passwordKind).where(sql`${table.passwordHash} is not null`),
  ],
);
