import type { Account, AccountApi } from '@infrasignal/testkit';
import { pick, type Random } from './random.ts';

export interface LoadOptions {
  readonly api: AccountApi;
  readonly random: Random;
  /** Those who log in again and again; grows with every registration that succeeds. */
  readonly accounts: readonly Account[];
  readonly ratePerSecond: number;
  readonly nextPhoneNumber: () => string;
}

/** One in five operations is a registration: the first event of a user has a path of its own. */
const REGISTRATION_SHARE = 0.2;

/** How often due operations are started; finer would only wake the process more often. */
const TICK_MS = 10;

export const PASSWORD = 'correct horse battery staple';

/**
 * Registrations and logins at a steady rate, whether or not earlier ones were answered. One user never has two
 * operations on the way, so that each event can be told to belong to one of them.
 */
export class Load {
  readonly #options: LoadOptions;
  readonly #idle: Account[];
  readonly #inFlight = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#idle = [...options.accounts];
  }

  start(): void {
    const startedAt = performance.now();
    let started = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * this.#options.ratePerSecond);
      for (; started < due; started += 1) this.#track(this.#performOne());
    }, TICK_MS);
  }

  /** Starts nothing more and waits for what is on the way. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await Promise.all(this.#inFlight);
  }

  #track(operation: Promise<void>): void {
    this.#inFlight.add(operation);
    void operation.finally(() => this.#inFlight.delete(operation));
  }

  async #performOne(): Promise<void> {
    const { api, random, nextPhoneNumber } = this.#options;
    if (this.#idle.length === 0 || random() < REGISTRATION_SHARE) {
      await api.register(nextPhoneNumber(), PASSWORD);
      return;
    }
    const account = pick(random, this.#idle);
    this.#idle.splice(this.#idle.indexOf(account), 1);
    await api.logIn(account.phoneNumber, PASSWORD);
    this.#idle.push(account);
  }
}
