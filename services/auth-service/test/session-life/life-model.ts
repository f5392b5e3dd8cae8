import type { SessionRevokedReason } from '@infrasignal/shared';

const DAY_MS = 86_400_000;

/** As the service is configured by default (docs/environment.md). */
const IDLE_MS = 7 * DAY_MS;
const TTL_MS = 30 * DAY_MS;
const GRACE_MS = 10_000;

/** What a test's own time adds to the model's: nothing is asked so near to the end of a grace. */
const DOUBT_MS = 5_000;

/** An event that must be in the outbox, in this order. */
export interface ExpectedEvent {
  readonly type: string;
  readonly reason?: SessionRevokedReason;
  readonly sessions?: readonly ModelSession[];
}

export interface ModelAccount {
  password: string;
  isDisabled: boolean;
  isDeleted: boolean;
  readonly events: ExpectedEvent[];
}

export interface ModelSession {
  readonly account: ModelAccount;
  readonly isCookie: boolean;
  /** Of the refresh token that is good. */
  counter: number;
  rotatedAtMs: number;
  idleAtMs: number;
  readonly endsAtMs: number;
  isRevoked: boolean;
}

/** How a refresh is answered: with a new token, with the same one again, or not; the last ends the session. */
export type RefreshOutcome = 'rotated' | 'repeated' | 'refused' | 'reused';

/** What a person’s sessions have to be like, without any database: the promise in a few lines. */
export class LifeModel {
  readonly #startedAtMs = performance.now();
  #passedMs = 0;
  readonly accounts: ModelAccount[] = [];
  readonly sessions: ModelSession[] = [];

  /** The one that the number belongs to, or belonged to last. */
  get account(): ModelAccount {
    const account = this.accounts.at(-1);
    if (account === undefined) throw new Error('the life begins with a registration');
    return account;
  }

  /** What was made to pass, and what passed by itself: on a busy machine that is more than a grace. */
  get nowMs(): number {
    return this.#passedMs + performance.now() - this.#startedAtMs;
  }

  pass(ms: number): void {
    this.#passedMs += ms;
  }

  register(password: string, isCookie: boolean): void {
    const account = { password, isDisabled: false, isDeleted: false, events: [] };
    this.accounts.push(account);
    this.#open(isCookie, 'user.registered');
  }

  /** @returns false: refused */
  logIn(password: string, isCookie: boolean): boolean {
    const { account } = this;
    if (account.isDeleted || account.isDisabled || account.password !== password) return false;
    this.#open(isCookie, 'user.login');
    return true;
  }

  isLive({ account, endsAtMs, idleAtMs, isRevoked }: ModelSession): boolean {
    return !isRevoked && !account.isDeleted && !account.isDisabled && idleAtMs > this.nowMs && endsAtMs > this.nowMs;
  }

  liveOf(account: ModelAccount): ModelSession[] {
    return this.sessions.filter((session) => session.account === account && this.isLive(session));
  }

  /** True if the grace may end while the question is on its way. */
  isDoubtful(session: ModelSession, counter: number): boolean {
    const ageMs = this.nowMs - session.rotatedAtMs;
    return counter === session.counter - 1 && ageMs > GRACE_MS - DOUBT_MS && ageMs <= GRACE_MS;
  }

  /** What a refresh with the token of that counter does. */
  predict(session: ModelSession, counter: number): RefreshOutcome {
    if (!this.isLive(session)) return 'refused';
    if (counter === session.counter) return 'rotated';
    const isInGrace = counter === session.counter - 1 && this.nowMs - session.rotatedAtMs <= GRACE_MS;
    return isInGrace ? 'repeated' : 'reused';
  }

  refresh(session: ModelSession, counter: number): RefreshOutcome {
    const outcome = this.predict(session, counter);
    if (outcome === 'reused') this.revoke([session], 'refresh_reuse');
    if (outcome === 'rotated') {
      session.counter += 1;
      session.rotatedAtMs = this.nowMs;
    }
    if (outcome === 'rotated' || outcome === 'repeated') {
      session.idleAtMs = Math.min(this.nowMs + IDLE_MS, session.endsAtMs);
    }
    return outcome;
  }

  /** Ends those that live, with one event for all of them. @returns how many */
  revoke(sessions: readonly ModelSession[], reason: SessionRevokedReason): number {
    const ended = sessions.filter((session) => this.isLive(session));
    for (const session of ended) session.isRevoked = true;
    const [first] = ended;
    if (first !== undefined) first.account.events.push({ type: 'session.revoked', reason, sessions: ended });
    return ended.length;
  }

  disable(): void {
    const { account } = this;
    this.revoke(this.liveOf(account), 'user_disabled');
    account.isDisabled = true;
  }

  /** By somebody who proved to know the password. */
  changePassword(session: ModelSession, next: string): number {
    const { account } = session;
    account.password = next;
    account.events.push({ type: 'user.password_changed' });
    return this.revoke(this.liveOf(account).filter((other) => other !== session), 'password_changed');
  }

  delete({ account }: ModelSession): void {
    this.revoke(this.liveOf(account), 'user_deleted');
    account.isDeleted = true;
    account.events.push({ type: 'user.deleted' });
  }

  #open(isCookie: boolean, type: string): void {
    const { account, nowMs } = this;
    this.sessions.push({
      account,
      isCookie,
      counter: 0,
      rotatedAtMs: -Infinity,
      idleAtMs: nowMs + IDLE_MS,
      endsAtMs: nowMs + TTL_MS,
      isRevoked: false,
    });
    account.events.push({ type });
  }
}
