import { passwordDisabled, passwordSpraying } from '@infrasignal/shared';
import type { Database } from '../../plugins/database-plugin.ts';
import { isUniqueViolation } from '../../db/unique-violation.ts';
import {
  deleteOldEvents,
  findUnpublishedEvents,
  insertSecurityEvent,
  markPublished,
} from './security-events-repository.ts';
import type { SecurityEventPublisher } from './security-event-publisher.ts';

/** As much of a logger as is needed here. */
export interface SecurityLogger {
  warn(details: object, message: string): void;
}

export interface SecurityLogDependencies {
  readonly db: Database;
  /** Null where there is no broker: what is noted is published by a running instance. */
  readonly publisher: SecurityEventPublisher | null;
  readonly log: SecurityLogger;
}

/** How often each kind was noted since the start, as plain counters. */
export interface SecurityStats {
  password_spraying: number;
  password_disabled: number;
}

/**
 * 5 s. What is noted is published at once; this is for what could not be, and for what an instance left behind that
 * died in between.
 */
const SWEEP_INTERVAL_MS = 5_000;

/** Two instances that note something at the same moment want the same number; a handful of tries is plenty. */
const NUMBER_TRIES_MAX = 10;

const definitions = { password_spraying: passwordSpraying, password_disabled: passwordDisabled };

/**
 * Signs of attacks: a row, a line in the log, and a message on `security.>`. They come through no outbox, because they
 * are no user's: they are numbered by themselves, without a gap, and nobody waits for them.
 */
export class SecurityLog {
  readonly stats: SecurityStats = { password_spraying: 0, password_disabled: 0 };
  readonly #dependencies: SecurityLogDependencies;
  #timer: NodeJS.Timeout | null = null;
  /** What is being done, one after the other: a sweep that overtook another would publish out of order. */
  #work: Promise<void> = Promise.resolve();

  constructor(dependencies: SecurityLogDependencies) {
    this.#dependencies = dependencies;
  }

  /** Notes that one wrong password was tried on many accounts. */
  notePasswordSpraying({ accounts, windowSeconds }: { accounts: number; windowSeconds: number }): void {
    this.#note('password_spraying', { accounts, window_seconds: windowSeconds });
  }

  /** Notes that an account's password is not looked at any more. */
  notePasswordDisabled(userId: number): void {
    this.#note('password_disabled', { user_id: userId });
  }

  start(): void {
    this.#timer = setInterval(() => this.#do(() => this.#publishDue()), SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Resolves when what has begun is done. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#work;
  }

  #note(kind: keyof SecurityStats, data: Record<string, unknown>): void {
    const { type } = definitions[kind];
    this.stats[kind] += 1;
    // The line is there even when the database is not.
    this.#dependencies.log.warn({ type, data }, 'sign of an attack');
    this.#do(async () => {
      await this.#insert(type, data);
      await this.#publishDue();
    });
  }

  /** Whoever tried a password does not wait for this. */
  #do(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#dependencies.log.warn({ err: error }, 'security event not stored or not published');
    });
  }

  async #insert(type: string, data: Record<string, unknown>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await insertSecurityEvent(this.#dependencies.db, type, data);
      } catch (error) {
        if (!isUniqueViolation(error) || attempt >= NUMBER_TRIES_MAX) throw error;
      }
    }
  }

  /** In order, each until the broker has it. Instances may do it side by side: the broker knows an id again. */
  async #publishDue(): Promise<void> {
    const { db, publisher } = this.#dependencies;
    if (publisher?.isReady !== true) return;
    const due = await findUnpublishedEvents(db);
    for (const event of due) {
      await publisher.publish(event);
      await markPublished(db, event.seq);
    }
    if (due.length > 0) await deleteOldEvents(db);
  }
}
