import { ReferenceClock } from '@infrasignal/token-verifier';
import { sql } from 'drizzle-orm';
import type { Clock } from '../lib/clock.ts';
import type { Database } from '../plugins/database-plugin.ts';

/** How soon an instance follows when the database moves to a machine with another time; as rare as costs nothing. */
const INTERVAL_MS = 5_000;

/**
 * The database's time of day, for everything that is told to the outside or compared with what the database wrote. All
 * instances have the same then: a token of one is good at the others, whatever the clocks of their machines say.
 */
export class DatabaseClock {
  readonly #db: Database;
  readonly #onError: (error: unknown) => void;
  readonly #reference = new ReferenceClock();
  #timer: NodeJS.Timeout | null = null;

  private constructor(db: Database, onError: (error: unknown) => void) {
    this.#db = db;
    this.#onError = onError;
  }

  /** Asks for the first time. @throws whatever the database answers instead */
  static async load(db: Database, onError: (error: unknown) => void): Promise<DatabaseClock> {
    const clock = new DatabaseClock(db, onError);
    await clock.#ask();
    return clock;
  }

  /** Milliseconds since 1970. */
  readonly now: Clock = () => {
    const nowMs = this.#reference.read();
    if (nowMs === null) throw new Error('the database has not been asked for the time');
    return nowMs;
  };

  /** Asks again now and then, until `stop`. */
  start(): void {
    this.#timer = setInterval(() => void this.#ask().catch(this.#onError), INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    const askedAtMs = performance.now();
    const { rows } = await this.#db.execute<{ ms: number }>(
      sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`,
    );
    const answeredAtMs = performance.now();
    const [row] = rows;
    if (row === undefined) throw new Error('the database did not tell the time');
    this.#reference.learn({ earliestMs: row.ms, latestMs: row.ms, askedAtMs, answeredAtMs });
  }
}
