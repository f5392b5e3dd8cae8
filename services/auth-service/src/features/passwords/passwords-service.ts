import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import { withUserLock, type Transaction } from '../../db/user-lock.ts';
import type { HashPlace, QueuedHasher } from '../../lib/hash-queue.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { passwordErrors } from './passwords-errors.ts';
import { findPasswordHolder, updatePassword } from './passwords-repository.ts';

export interface PasswordsDependencies {
  readonly db: Database;
  readonly hasher: QueuedHasher;
  readonly policy: PasswordPolicy;
  /** Ends every session of the user but that one; called while the user's row is held. */
  readonly endOtherSessions: (tx: Transaction, userId: number, sessionId: string) => Promise<number>;
  readonly announceEvent: () => void;
}

function wrongPassword(): ProblemError {
  const { code, detail } = passwordErrors.wrong_password;
  return new ProblemError(passwordErrors.wrong_password, {
    errors: [{ pointer: '/current_password', code, detail }],
  });
}

export class PasswordsService {
  readonly #dependencies: PasswordsDependencies;

  constructor(dependencies: PasswordsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Proves that the caller knows the account's password.
   * @returns the hash that it was checked against
   * @throws ProblemError wrong_password, also for an account that has none; service_unavailable
   */
  async prove(userId: number, password: string, place: HashPlace): Promise<string> {
    const { db } = this.#dependencies;
    const hasher = this.#dependencies.hasher.at(place);
    const holder = await findPasswordHolder(db, userId);
    if (holder?.passwordHash == null) {
      await hasher.verifyNothing(password);
      throw wrongPassword();
    }
    if (!(await hasher.verify(holder.passwordHash, password))) throw wrongPassword();
    return holder.passwordHash;
  }

  /**
   * Replaces the password and ends all other sessions.
   * @returns how many sessions ended
   * @throws ProblemError wrong_password, invalid_request (the new one is refused), service_unavailable
   */
  async change(
    caller: { userId: number; sessionId: string },
    passwords: { current: string; next: string },
    place: HashPlace,
  ): Promise<number> {
    const { db, hasher, policy, endOtherSessions, announceEvent } = this.#dependencies;
    const { userId, sessionId } = caller;
    const holder = await findPasswordHolder(db, userId);
    const problem = policy.check(passwords.next, {
      phoneNumbers: [holder?.phoneNumberE164, holder?.phoneNumber].filter((number) => number != null),
      email: holder?.email ?? null,
    });
    if (problem !== null) {
      throw new ProblemError(commonErrors.invalid_request, { errors: [{ ...problem, pointer: '/new_password' }] });
    }
    const from = await this.prove(userId, passwords.current, place);
    const to = await hasher.at(place).hash(passwords.next);
    const ended = await withUserLock(db, userId, async (tx) =>
      (await updatePassword(tx, { userId, from, to })) ? endOtherSessions(tx, userId, sessionId) : null,
    );
    // Somebody changed it between the check and the lock: what was proven is no longer the current password.
    if (ended === null) throw wrongPassword();
    announceEvent();
    return ended;
  }
}
