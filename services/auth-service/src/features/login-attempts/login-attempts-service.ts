import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { SQL } from 'drizzle-orm';
import type { Clock } from '../../lib/clock.ts';
import type { KnownDevice } from '../../lib/device-tokens.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { deleteFull, returnUse, spendUse, takeUse } from './address-budgets-repository.ts';
import { AttemptKeys, STRANGERS } from './attempt-keys.ts';
import {
  clearAccount,
  clearFailures,
  countFailure,
  deleteExpired,
  findPhoneNumber,
  forgetAccount,
  forgetSource,
  releaseAttempt,
  reserveLogin,
  reserveProof,
  type FailureKey,
  type Reservation,
} from './login-failures-repository.ts';
import type { LoginLimits } from './login-limits.ts';
import { SprayingDetector, type Spraying } from './spraying-detector.ts';

/** Signs of an attack; told to operators, and to no user. */
export interface AttackSignals {
  readonly onSpraying: (spraying: Spraying) => void;
  /** So many wrong passwords in a row that this account's is not looked at any more. */
  readonly onPasswordDisabled: (userId: number) => void;
}

export interface LoginAttemptsDependencies extends AttackSignals {
  readonly db: Database;
  readonly secretKey: string;
  readonly limits: LoginLimits;
  readonly clock: Clock;
  /** Told of failed background work that will be tried again. */
  readonly onError: (error: unknown) => void;
}

/** Logins by outcome, as plain counters: whoever exports metrics reads them, nothing in here knows how. */
export interface LoginStats {
  ok: number;
  /** Wrong password, unknown number, disabled account or password. */
  wrong: number;
  /** Refused unseen: the account, or the device, has to wait. */
  limited_account: number;
  /** Refused unseen: the address has to wait. */
  limited_address: number;
  /** Refused because too many passwords were being hashed. */
  overloaded: number;
  /** Came to no verdict: the database was away, or something broke. */
  failed: number;
}

/** Who wants to log in. */
export interface LoginApplicant {
  readonly phoneNumberE164: string;
  readonly password: string;
  readonly address: string;
  readonly device: KnownDevice | null;
}

/** Somebody who is logged in and shall prove to know the password. */
export interface ProofApplicant {
  readonly userId: number;
  readonly sessionId: string;
  /** Null for a service. */
  readonly phoneNumberE164: string | null;
}

/** Renders what a success forgets, as a statement for a CTE, if the CTE of that name returned a row. */
export type Forgetting = (when: string) => SQL;

const CLEANUP_INTERVAL_MS = 60_000;

/**
 * How long an answer waits for what it gives back; it goes on after that. Longer makes who waited for a database that is
 * away wait for it twice; shorter may refuse their next attempt where the database is merely slow.
 */
const GIVE_BACK_MS_MAX = 500;

/** 1,000 rows at once: a few milliseconds, and no row is held for longer than that. */
const CLEANUP_BATCH = 1_000;

/** Whole seconds, at least one (RFC 9110 section 10.2.3). */
function throttled(waitSeconds: number): ProblemError {
  const seconds = Math.max(1, Math.ceil(waitSeconds));
  return new ProblemError(commonErrors.throttled, { headers: { 'retry-after': String(seconds) } });
}

function isOverload(error: unknown): boolean {
  return error instanceof ProblemError && error.definition === commonErrors.service_unavailable;
}

/**
 * Counts wrong passwords per account, per known device and per address, in the database, so that every instance knows
 * and a restart forgets nothing; and refuses those who have to wait, whether or not the number has an account.
 */
export class LoginAttempts {
  readonly stats: LoginStats = { ok: 0, wrong: 0, limited_account: 0, limited_address: 0, overloaded: 0, failed: 0 };
  readonly #dependencies: LoginAttemptsDependencies;
  readonly #keys: AttemptKeys;
  readonly #spraying: SprayingDetector;
  #timer: NodeJS.Timeout | null = null;

  constructor(dependencies: LoginAttemptsDependencies) {
    this.#dependencies = dependencies;
    this.#keys = new AttemptKeys(dependencies.secretKey);
    const { clock, limits, onSpraying } = dependencies;
    this.#spraying = new SprayingDetector({ clock, accountsMin: limits.sprayingAccountsMin, onSpraying });
  }

  /**
   * Lets one login be tried, if it may be now. The attempt counts as a failure from before `tryPassword` on; a success
   * takes that back, and so does an exception, because then nothing was learnt about the password.
   *
   * @param find a SELECT of the account, at most one row; part of the statement that counts
   * @param tryPassword gets that row, or null where there is no password to try, and returns null for a wrong one. The
   *   statement that opens the session must run `forgetting`.
   * @returns what `tryPassword` did
   * @throws ProblemError throttled with `Retry-After`, and whatever `tryPassword` throws
   */
  async logIn<Found extends { readonly userId: number }, Result>(
    applicant: LoginApplicant,
    find: SQL,
    tryPassword: (found: Found | null, forgetting: Forgetting) => Promise<Result | null>,
  ): Promise<Result | null> {
    try {
      const { reservation, found } = await this.#reserve<Found>(applicant, find);
      const failures = this.#admit(reservation);
      const key = this.#keyOf(applicant, reservation);
      const isDisabled = failures > this.#dependencies.limits.failuresMax;
      const result = await this.#releasing(key, failures, () =>
        tryPassword(isDisabled ? null : found, (when) => clearFailures(key, when)),
      );
      if (result === null) await this.#noteFailure(applicant, reservation, found, failures);
      this.stats[result === null ? 'wrong' : 'ok'] += 1;
      return result;
    } catch (error) {
      if (isOverload(error)) this.stats.overloaded += 1;
      else if (!(error instanceof ProblemError && error.definition === commonErrors.throttled)) this.stats.failed += 1;
      throw error;
    }
  }

  /**
   * Lets somebody who is logged in prove to know the password. Each session is held to its own failures, so that nobody
   * else's are in its way; they count on the account all the same.
   * @param tryPassword returns null for a wrong one
   * @throws ProblemError throttled with `Retry-After`, and whatever `tryPassword` throws
   */
  async prove<Result>(
    { userId, sessionId, phoneNumberE164 }: ProofApplicant,
    tryPassword: () => Promise<Result | null>,
  ): Promise<Result | null> {
    const { db, limits } = this.#dependencies;
    const accountKey = this.#accountKey({ userId, phoneNumberE164 });
    const key = { accountKey, sourceKey: this.#keys.session(sessionId) };
    const { failures, waitSeconds } = await reserveProof(db, key, limits);
    if (failures === null) throw throttled(waitSeconds ?? limits.delaySeconds);
    if (failures > limits.failuresMax) return null;
    const result = await this.#releasing(key, failures, tryPassword);
    if (result === null) await countFailure(db, { accountKey, sourceKey: STRANGERS }, limits);
    else await forgetSource(db, key);
    return result;
  }

  /**
   * Lets an address register once more. What fails within is given back, what is refused is not: a refusal tells which
   * numbers have an account.
   * @param find a SELECT of at most one row; part of the statement that counts
   * @param create gets that row as JSON, or null, and what the new account's statement must run
   * @throws ProblemError throttled with `Retry-After`, and whatever `create` throws
   */
  async register<Found extends object, Result>(
    { phoneNumberE164, address }: Pick<LoginApplicant, 'phoneNumberE164' | 'address'>,
    find: SQL,
    create: (found: Found | null, forgetting: Forgetting) => Promise<Result>,
  ): Promise<Result> {
    const { db, limits } = this.#dependencies;
    const budget = limits.registrationsPerAddress;
    const key = this.#keys.address('registration', address);
    const { waitSeconds, found } = await takeUse<Found>(db, key, budget, find);
    if (waitSeconds !== null) throw throttled(waitSeconds);
    try {
      // Whoever guessed at the number before it had an account did not guess at this one.
      return await create(found, (when) => clearAccount(this.#keys.account(phoneNumberE164), when));
    } catch (error) {
      const isRefusal = error instanceof ProblemError && error.definition.status < 500;
      if (!isRefusal) await this.#giveBack(returnUse(db, key, budget));
      throw error;
    }
  }

  /** Renders how all failures on an account are forgotten, for a CTE, if the CTE of that name returned a row. */
  forgetting(account: Omit<ProofApplicant, 'sessionId'>, when: string): SQL {
    return clearAccount(this.#accountKey(account), when);
  }

  /** Forgets all failures on an account: its password is looked at again. @returns true if there were any */
  async forget(userId: number): Promise<boolean> {
    const { db } = this.#dependencies;
    const phoneNumberE164 = await findPhoneNumber(db, userId);
    return (await forgetAccount(db, this.#accountKey({ userId, phoneNumberE164 }))) > 0;
  }

  /** Removes what has no meaning any more, now and then. */
  start(): void {
    this.#timer = setInterval(() => {
      this.cleanUp().catch(this.#dependencies.onError);
    }, CLEANUP_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Removes counts that have expired, in small batches. Any number of instances may do so at once. */
  async cleanUp(): Promise<void> {
    const { db } = this.#dependencies;
    while ((await deleteExpired(db, CLEANUP_BATCH)) === CLEANUP_BATCH);
    while ((await deleteFull(db, CLEANUP_BATCH)) === CLEANUP_BATCH);
  }

  #accountKey({ userId, phoneNumberE164 }: Omit<ProofApplicant, 'sessionId'>): string {
    return phoneNumberE164 === null ? this.#keys.accountOfService(userId) : this.#keys.account(phoneNumberE164);
  }

  #reserve<Found extends object>(
    { phoneNumberE164, address, device }: LoginApplicant,
    find: SQL,
  ): Promise<{ reservation: Reservation; found: Found | null }> {
    const { db, limits } = this.#dependencies;
    const login = {
      phoneNumberE164,
      accountKey: this.#keys.account(phoneNumberE164),
      addressKey: this.#keys.address('login', address),
      device: device === null ? null : { key: this.#keys.device(device.id), userIds: device.userIds },
    };
    return reserveLogin(db, login, limits, find);
  }

  /** @returns failures in a row, this attempt included @throws ProblemError throttled */
  #admit({ failures, addressWaitSeconds, waitSeconds }: Reservation): number {
    if (failures !== null) return failures;
    this.stats[addressWaitSeconds === null ? 'limited_account' : 'limited_address'] += 1;
    // Without a wait that could be read, somebody else's attempt began it this instant.
    throw throttled(addressWaitSeconds ?? waitSeconds ?? this.#dependencies.limits.delaySeconds);
  }

  #keyOf({ phoneNumberE164, device }: LoginApplicant, { isKnown }: Reservation): FailureKey {
    const sourceKey = isKnown && device !== null ? this.#keys.device(device.id) : STRANGERS;
    return { accountKey: this.#keys.account(phoneNumberE164), sourceKey };
  }

  async #noteFailure(
    { phoneNumberE164, password, address }: LoginApplicant,
    { isKnown }: Reservation,
    found: { readonly userId: number } | null,
    failures: number,
  ): Promise<void> {
    const { db, limits, onPasswordDisabled } = this.#dependencies;
    this.#spraying.note(password, this.#keys.account(phoneNumberE164));
    if (failures === limits.failuresMax && found !== null) onPasswordDisabled(found.userId);
    // A device that is known is held to its own count; an address is shared, and it may be no stranger's fault there.
    if (!isKnown) await spendUse(db, this.#keys.address('login', address), limits.loginsPerAddress);
  }

  /** Runs what may throw before there is a verdict; then the attempt did not happen. */
  async #releasing<Result>(key: FailureKey, failures: number, run: () => Promise<Result>): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      const { db, limits } = this.#dependencies;
      await this.#giveBack(releaseAttempt(db, key, failures, limits));
      throw error;
    }
  }

  /** It is given back before the answer, so that the next attempt finds it; unless the database is what went wrong. */
  async #giveBack(returning: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GIVE_BACK_MS_MAX);
    });
    await Promise.race([returning.catch(this.#dependencies.onError), patience]);
    clearTimeout(timer);
  }
}
