import { commonErrors, type FieldProblem } from '@infrasignal/shared';
import { ProblemError, type Traced } from '@infrasignal/service-kit';
import type { SQL } from 'drizzle-orm';
import type { Transaction } from '../../db/transaction.ts';
import { withUserLock } from '../../db/user-lock.ts';
import type { HashPlace, QueuedHasher } from '../../lib/hash-queue.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { passwordErrors } from './passwords-errors.ts';
import { findPasswordHolder, updatePassword, type PasswordHolder } from './passwords-repository.ts';

export interface PasswordsDependencies {
  readonly db: Database;
  readonly hasher: QueuedHasher;
  readonly policy: PasswordPolicy;
  /** Lets a password be tried if it may be now; null, which counts as a failure, when it is wrong. */
  readonly guardProof: (
    applicant: PasswordProver,
    tryPassword: () => Promise<string | null>,
  ) => Promise<string | null>;
  /** Guesses at a former password are none at the new one: renders how they are forgotten. */
  readonly forgetFailures: (account: Omit<PasswordProver, 'sessionId'>, when: string) => SQL;
  /** Ends every session of the user but their own; called while the user's row is held. */
  readonly endOtherSessions: (tx: Transaction, caller: PasswordOwner & Traced) => Promise<number>;
  readonly announceEvent: () => void;
}

/** Who proves to know their password, by which session. */
export interface PasswordOwner {
  readonly userId: number;
  readonly sessionId: string;
}

interface PasswordProver extends PasswordOwner {
  /** Null for a service. */
  readonly phoneNumberE164: string | null;
}

function wrongPassword(): ProblemError {
  const { code, detail } = passwordErrors.wrong_password;
  return new ProblemError(passwordErrors.wrong_password, {
    errors: [{ pointer: '/current_password', code, detail }],
  });
}

/** @throws ProblemError invalid_request naming the new password, if there is a problem with it */
function refuse(problem: FieldProblem | null): void {
  if (problem === null) return;
  throw new ProblemError(commonErrors.invalid_request, { errors: [{ ...problem, pointer: '/new_password' }] });
}

export class PasswordsService {
  readonly #dependencies: PasswordsDependencies;

  constructor(dependencies: PasswordsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Proves that the caller knows the account's password.
   * @returns the hash that it was checked against
   * @throws ProblemError wrong_password, also for an account that has none; throttled, service_unavailable
   */
  async prove({ userId, sessionId }: PasswordOwner, password: string, place: HashPlace): Promise<string> {
    const { db, guardProof } = this.#dependencies;
    const hasher = this.#dependencies.hasher.at(place);
    const holder = await findPasswordHolder(db, userId);
    const { passwordHash = null, phoneNumberE164 = null } = holder ?? {};
    const proven = await guardProof({ userId, sessionId, phoneNumberE164 }, async () => {
      if (passwordHash !== null) return (await hasher.verify(passwordHash, password)) ? passwordHash : null;
      await hasher.verifyNothing(password);
      return null;
    });
    if (proven === null) throw wrongPassword();
    return proven;
  }

  /**
   * Replaces the password and ends all other sessions.
   * @returns how many sessions ended
   * @throws ProblemError wrong_password, invalid_request (the new one is refused), throttled, service_unavailable
   */
  async change(
    caller: PasswordOwner & Traced,
    passwords: { current: string; next: string },
    place: HashPlace,
  ): Promise<number> {
    const { db, hasher, policy, endOtherSessions, announceEvent } = this.#dependencies;
    const { userId, traceparent } = caller;
    const holder = await findPasswordHolder(db, userId);
    const context = {
      phoneNumbers: [holder?.phoneNumberE164, holder?.phoneNumber].filter((number) => number != null),
      email: holder?.email ?? null,
    };
    refuse(policy.check(passwords.next, context));
    const from = await this.prove(caller, passwords.current, place);
    refuse(await policy.checkBreaches(passwords.next));
    const to = await hasher.at(place).hash(passwords.next);
    const change = { userId, from, to, forgetFailures: this.#forgetting(userId, holder), traceparent };
    const ended = await withUserLock(db, userId, async (tx) =>
      (await updatePassword(tx, change)) ? endOtherSessions(tx, caller) : null,
    );
    // Somebody changed it between the check and the lock: what was proven is no longer the current password.
    if (ended === null) throw wrongPassword();
    announceEvent();
    return ended;
  }

  #forgetting(userId: number, holder: PasswordHolder | null): (when: string) => SQL {
    const phoneNumberE164 = holder?.phoneNumberE164 ?? null;
    return (when) => this.#dependencies.forgetFailures({ userId, phoneNumberE164 }, when);
  }
}
