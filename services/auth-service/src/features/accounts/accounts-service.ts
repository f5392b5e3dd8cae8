import { commonErrors, type FieldProblem, type TokenResponse } from '@infrasignal/shared';
import { ProblemError, type Traced } from '@infrasignal/service-kit';
import type { SQL } from 'drizzle-orm';
import type { CountryCode } from 'libphonenumber-js/max';
import type { Transaction } from '../../db/transaction.ts';
import { withUserLock } from '../../db/user-lock.ts';
import { normaliseEmail } from '../../lib/email-address.ts';
import type { HashPlace, QueuedHasher } from '../../lib/hash-queue.ts';
import { idempotencyErrors } from '../../lib/idempotency-key.ts';
import { phoneNumberProblem, toE164 } from '../../lib/phone-number.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { accountErrors, accountFieldErrors } from './accounts-errors.ts';
import {
  deleteAccount,
  findEverything,
  findProfile,
  findTakenField,
  insertAccount,
  selectTaken,
  updateEmail,
  type FirstRows,
  type Profile,
  type Taken,
  type TakenField,
} from './accounts-repository.ts';
import type { RegisterBody } from './accounts-schemas.ts';
import { countRetry } from './registration-keys-repository.ts';
import type { RegistrationKey, RegistrationKeys } from './registration-keys.ts';

/**
 * A client tries again a few times. Whoever got hold of a key could try passwords with it for as long as it is kept,
 * past the limits of the login: a hundred at most is what an account bears (NIST SP 800-63B section 5.2.2).
 */
const RETRIES_MAX = 100;

/** What registration needs of sessions: the row and the trace for its statement, the tokens for its answer. */
export interface FirstSession extends Traced {
  readonly id: string;
  insert(from: string): SQL;
  toTokens(user: { userId: number; phoneNumber: string; scopes: readonly string[] }): TokenResponse;
}

/** Whose account it is, the session by which they say so, and the trace of what they ask for. */
export interface AccountOwner extends Traced {
  readonly userId: number;
  readonly sessionId: string;
}

/** What an account says of its user; of a service too. */
type HeldProfile = Omit<Profile, 'phoneNumberE164'> & { readonly phoneNumberE164: string | null };

/** What a registration needs besides its body. */
export interface RegistrationCircumstances {
  readonly session: FirstSession;
  /** The client's `Idempotency-Key`; null when it sent none. */
  readonly idempotencyKey: string | null;
  /** Where it comes from. */
  readonly address: string;
  readonly place: HashPlace;
}

/** The session that a registration opened, now or when it was first asked for, and its tokens. */
export interface Registration {
  readonly sessionId: string;
  readonly tokens: TokenResponse;
}

/** Renders how failed logins to a number are forgotten, for a CTE, if the CTE of that name returned a row. */
type ForgetFailures = FirstRows['forgetFailures'];

export interface AccountsDependencies {
  readonly db: Database;
  readonly hasher: QueuedHasher;
  readonly region: CountryCode;
  /**
   * Lets a registration be tried if its address may register now, and finds with `find`, a SELECT, what is taken of it. A
   * new account's statement runs `forgetFailures`.
   * @throws ProblemError throttled
   */
  readonly guardRegistration: (
    applicant: { phoneNumberE164: string; address: string },
    find: SQL,
    create: (taken: Taken | null, forgetFailures: ForgetFailures) => Promise<Registration>,
  ) => Promise<Registration>;
  readonly registrationKeys: RegistrationKeys;
  /** The tokens that a session began with: the same refresh token, and an access token of now. */
  readonly reissueFirstTokens: (
    user: { userId: number; phoneNumber: string; scopes: readonly string[] },
    sessionId: string,
    refreshTtlSeconds: number,
  ) => TokenResponse;
  readonly checkPassword: (
    password: string,
    context: { phoneNumbers: readonly string[]; email: string | null },
  ) => FieldProblem | null;
  /** What is wrong with a password that others may have lost; asks somebody else, so it comes after all other checks. */
  readonly checkBreaches: (password: string) => Promise<FieldProblem | null>;
  /** Proves the account's password; returns the hash it was checked against, throws a problem otherwise. */
  readonly provePassword: (owner: AccountOwner, password: string, place: HashPlace) => Promise<string>;
  /** Ends every session of the user; called while the user's row is held. */
  readonly endAllSessions: (tx: Transaction, account: Traced & { userId: number }) => Promise<number>;
  readonly announceEvent: () => void;
}

function taken(field: TakenField): ProblemError {
  const definition = field === 'phone_number' ? accountErrors.phone_number_taken : accountErrors.email_taken;
  const { code, detail } = definition;
  return new ProblemError(definition, { errors: [{ pointer: `/${field}`, code, detail }] });
}

/** The token was good a moment ago, or is a service's: there is no account for it (RFC 6750 section 3). */
function noAccount(): ProblemError {
  const headers = { 'www-authenticate': 'Bearer error="invalid_token"' };
  return new ProblemError(commonErrors.invalid_token, { headers });
}

function invalidEmail(): FieldProblem {
  const { code, detail } = accountFieldErrors.invalid_email;
  return { pointer: '/email', code, detail };
}

export class AccountsService {
  readonly #dependencies: AccountsDependencies;

  constructor(dependencies: AccountsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Creates an account and its first session. A retry with the same key gets the answer of the first again.
   * @throws ProblemError invalid_request naming every refused field, phone_number_taken, email_taken,
   *   idempotency_key_reused, idempotency_key_spent, throttled
   */
  async register(body: RegisterBody, circumstances: RegistrationCircumstances): Promise<Registration> {
    const identity = this.#check(body);
    const applicant = { phoneNumberE164: identity.phoneNumberE164, address: circumstances.address };
    return this.#dependencies.guardRegistration(applicant, selectTaken(identity), (taken, forgetFailures) =>
      this.#create(body, identity, { ...circumstances, takenField: taken?.field ?? null, forgetFailures }),
    );
  }

  async #create(
    body: RegisterBody,
    identity: { phoneNumberE164: string; email: string | null },
    circumstances: RegistrationCircumstances & { takenField: TakenField | null; forgetFailures: ForgetFailures },
  ): Promise<Registration> {
    const { session, idempotencyKey, place, takenField, forgetFailures } = circumstances;
    const { db, registrationKeys, announceEvent } = this.#dependencies;
    const keys = idempotencyKey === null ? [] : registrationKeys.encode(idempotencyKey, body);
    const phoneNumber = body.phone_number;
    // A hash is 20 ms of a core: what cannot succeed is refused before it. The statement of the insert decides races.
    const userId =
      takenField !== null
        ? null
        : await insertAccount(
            db,
            { ...identity, phoneNumber, passwordHash: await this.#hashNew(body.password, place) },
            {
              sessionId: session.id,
              insertSession: (from) => session.insert(from),
              registrationKey: keys[0] ?? null,
              forgetFailures,
              traceparent: session.traceparent,
            },
          );
    if (userId === null) {
      // Taken, but maybe by this very request: sent before, or at the same time, when it waited for the other there.
      const first = await this.#answerAgain(keys, body.password, place);
      if (first !== null) return first;
      throw taken(takenField ?? (await findTakenField(db, identity)) ?? 'phone_number');
    }
    announceEvent();
    return { sessionId: session.id, tokens: session.toTokens({ userId, phoneNumber, scopes: [] }) };
  }

  async #hashNew(password: string, place: HashPlace): Promise<string> {
    const { hasher, checkBreaches } = this.#dependencies;
    const problem = await checkBreaches(password);
    if (problem !== null) throw new ProblemError(commonErrors.invalid_request, { errors: [problem] });
    return hasher.at(place).hash(password);
  }

  /** The profile of whom a request was let in for. @throws ProblemError invalid_token for a service, which has none */
  toProfile({ userId, phoneNumber, phoneNumberE164, email, createdAt, lastLoginAt }: HeldProfile): Profile {
    if (phoneNumberE164 === null) throw noAccount();
    return { userId, phoneNumber, phoneNumberE164, email, createdAt, lastLoginAt };
  }

  /** @throws ProblemError invalid_token when the account is gone meanwhile */
  async getProfile(userId: number): Promise<Profile> {
    const profile = await findProfile(this.#dependencies.db, userId);
    if (profile === null) throw noAccount();
    return profile;
  }

  /** Everything that is held about the user, for the user to have (GDPR article 15). */
  async exportEverything(userId: number): Promise<Profile & Awaited<ReturnType<typeof findEverything>>> {
    const [profile, everything] = await Promise.all([
      this.getProfile(userId),
      findEverything(this.#dependencies.db, userId),
    ]);
    return { ...profile, ...everything };
  }

  /** @throws ProblemError wrong_password, invalid_request (no e-mail address), email_taken */
  async changeEmail(
    owner: AccountOwner,
    email: string | null,
    currentPassword: string,
    place: HashPlace,
  ): Promise<Profile> {
    const { db, provePassword, announceEvent } = this.#dependencies;
    const normalised = email === null ? null : normaliseEmail(email);
    if (email !== null && normalised === null) {
      throw new ProblemError(commonErrors.invalid_request, { errors: [invalidEmail()] });
    }
    await provePassword(owner, currentPassword, place);
    if (!(await updateEmail(db, owner, normalised))) throw taken('email');
    announceEvent();
    return this.getProfile(owner.userId);
  }

  /** Removes the account, its personal data and its sessions, and frees its number. @throws ProblemError wrong_password */
  async delete(owner: AccountOwner, password: string, place: HashPlace): Promise<void> {
    const { db, provePassword, endAllSessions, announceEvent } = this.#dependencies;
    const passwordHash = await provePassword(owner, password, place);
    await withUserLock(db, owner.userId, async (tx) => {
      await endAllSessions(tx, owner);
      // The password was changed between the proof and the lock: throwing also undoes the end of the sessions.
      if (!(await deleteAccount(tx, owner, passwordHash))) throw noAccount();
    });
    announceEvent();
  }

  /** The same by order of an operator, who proves nothing. @returns false when there is no such account */
  async deleteByOrder(userId: number): Promise<boolean> {
    const { db, endAllSessions, announceEvent } = this.#dependencies;
    const account = { userId, traceparent: null };
    const isDeleted = await withUserLock(db, userId, async (tx) => {
      await endAllSessions(tx, account);
      return deleteAccount(tx, account, null);
    });
    announceEvent();
    return isDeleted === true;
  }

  /** The answer that a registration with this key had; null when there was none. */
  async #answerAgain(
    keys: readonly RegistrationKey[],
    password: string,
    place: HashPlace,
  ): Promise<Registration | null> {
    const { db, hasher, reissueFirstTokens } = this.#dependencies;
    const earlier = keys.length === 0 ? null : await countRetry(db, keys);
    if (earlier === null) return null;
    const { keyMac, requestMac, retryCount, answer } = earlier;
    if (!keys.some((key) => key.keyMac === keyMac && key.requestMac === requestMac)) {
      throw new ProblemError(idempotencyErrors.idempotency_key_reused);
    }
    // A refreshed session is in good hands: to hand out its used token would end it as a theft.
    if (answer === null || retryCount > RETRIES_MAX) throw new ProblemError(accountErrors.idempotency_key_spent);
    // A key is no credential. Whoever repeats the whole request knows the password, and could log in as well.
    if (!(await hasher.at(place).verify(answer.passwordHash, password))) {
      throw new ProblemError(idempotencyErrors.idempotency_key_reused);
    }
    const { sessionId, refreshTtlSeconds } = answer;
    return { sessionId, tokens: reissueFirstTokens(answer, sessionId, refreshTtlSeconds) };
  }

  #check(body: RegisterBody): { phoneNumberE164: string; email: string | null } {
    const { region, checkPassword } = this.#dependencies;
    const errors: FieldProblem[] = [];
    const phoneNumberE164 = toE164(body.phone_number, region);
    if (phoneNumberE164 === null) errors.push(phoneNumberProblem());
    const email = body.email == null ? null : normaliseEmail(body.email);
    if (email === null && body.email != null) errors.push(invalidEmail());
    const phoneNumbers = phoneNumberE164 === null ? [] : [phoneNumberE164, body.phone_number];
    const passwordProblem = checkPassword(body.password, { phoneNumbers, email });
    if (passwordProblem !== null) errors.push(passwordProblem);
    if (phoneNumberE164 === null || errors.length > 0) throw new ProblemError(commonErrors.invalid_request, { errors });
    return { phoneNumberE164, email };
  }
}
