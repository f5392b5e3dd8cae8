import { commonErrors } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { PasswordHasher } from './password-hasher.ts';

/** What a request holds while it may still hash: a turn that was promised to it, or taken back. */
export interface HashPlace {
  /** True once nobody waits for the result any more: what has not begun then never begins. */
  readonly isReleased: boolean;
  /** Gives the place back: the request was answered, or its client has gone. Again does nothing. */
  release(): void;
}

/** Every computation waits for its turn, and throws service_unavailable when none comes in time. */
export interface QueuedHasher {
  /** The hasher of a request that took a place: one computation after the other. */
  at(place: HashPlace): PasswordHasher;
}

/** What happened in the queue, as plain numbers: whoever exports metrics reads them, nothing in here knows how. */
export interface HashQueueStats {
  /** Requests that hold a place now: before their hash, waiting for it, computing it, or being answered. */
  places: number;
  /** Hashes that wait now. */
  waiting: number;
  /** Hashes that are computed now. */
  running: number;
  /** Hashes that were computed since the start. */
  computed: number;
  /** Requests that were refused because there was no place. */
  refused: number;
  /** Hashes that were given up because they had waited too long. */
  expired: number;
  /** Hashes that were not computed because their client had gone. */
  abandoned: number;
}

export interface HashQueueOptions {
  /** Hashes at once. */
  readonly concurrency: number;
  /** Requests that may hold a place beyond those being computed. */
  readonly waitingMax: number;
  /** The longest that a hash may wait. */
  readonly waitMsMax: number;
  /** Milliseconds that only go forward; `performance.now` by default. */
  readonly now?: () => number;
}

interface Waiting {
  readonly place: Place;
  readonly since: number;
  start(): void;
  giveUp(): void;
}

/**
 * How much the latest hash counts in the mean: about the last twenty decide. Smaller notices late that hashes got
 * slower; larger lets one slow hash turn requests away.
 */
const MEAN_WEIGHT = 0.1;

/**
 * `Retry-After` is 1 s and up to so many more by chance: the queue is empty again long before, and those who were
 * refused together must not come back together.
 */
const RETRY_SPREAD_SECONDS = 4;

/** Made once: with a stack of its own for each, a refusal costs a quarter more. */
const refusals = Array.from({ length: 1 + RETRY_SPREAD_SECONDS }, (_, at) => {
  const headers = { 'retry-after': String(1 + at) };
  return new ProblemError(commonErrors.service_unavailable, { headers });
});

function overloaded(): ProblemError {
  const refusal = refusals[Math.floor(Math.random() * refusals.length)];
  if (refusal === undefined) throw new RangeError('no refusal was made');
  return refusal;
}

class Place implements HashPlace {
  isReleased = false;
  waiting: Waiting | null = null;
  readonly #onRelease: (place: Place) => void;

  constructor(onRelease: (place: Place) => void) {
    this.#onRelease = onRelease;
  }

  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.#onRelease(this);
  }
}

/**
 * Password hashes, so many at once and no more. Each takes a core for its time and tens of MiB: without a limit every
 * login of a storm waits for all the others, and so does everything else in the process.
 *
 * Who wants to hash takes a place first, before the database is asked. Places are bounded in number, and in time by
 * how long hashes take at the moment; there is none for a request that would wait longer, which costs next to nothing
 * to say. So what is begun is also finished, in the order of arrival, and the rate of logins under any load is the
 * rate at which hashes can be computed. First come, first served is fair here because nobody waits long: a request
 * that may wait for seconds would better be served last come first, as most of those before it have been given up.
 *
 * What it does not know: HTTP, accounts, which library computes.
 */
export class HashQueue {
  readonly stats: HashQueueStats = {
    places: 0,
    waiting: 0,
    running: 0,
    computed: 0,
    refused: 0,
    expired: 0,
    abandoned: 0,
  };

  /** Told how long each hash waited, when it begins. In seconds. */
  onWaited: (seconds: number) => void = () => undefined;

  readonly #options: HashQueueOptions;
  readonly #now: () => number;
  /** In the order of arrival; one that is given up leaves from the middle. */
  readonly #waiting = new Set<Waiting>();
  #meanMs = 0;

  constructor(options: HashQueueOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** @throws ProblemError service_unavailable with `Retry-After` unless there is a place now; takes none */
  assertRoom(): void {
    if (this.#hasRoom()) return;
    this.stats.refused += 1;
    throw overloaded();
  }

  /** Takes a place. @throws ProblemError service_unavailable with `Retry-After` when there is none */
  takePlace(): HashPlace {
    this.assertRoom();
    this.stats.places += 1;
    return new Place(this.#release);
  }

  /** Makes every computation of a hasher wait for its turn; one call is one turn, however many hashes it computes. */
  wrap(hasher: PasswordHasher): QueuedHasher {
    return {
      at: (place) => ({
        hash: (password) => this.#run(place, () => hasher.hash(password)),
        verify: (passwordHash, password) => this.#run(place, () => hasher.verify(passwordHash, password)),
        verifyAndRenew: (passwordHash, password) =>
          this.#run(place, () => hasher.verifyAndRenew(passwordHash, password)),
        verifyNothing: (password) => this.#run(place, () => hasher.verifyNothing(password)),
      }),
    };
  }

  #hasRoom(): boolean {
    const { concurrency, waitingMax, waitMsMax } = this.#options;
    const { places } = this.stats;
    if (places < concurrency) return true;
    const ahead = places - concurrency + 1;
    return ahead <= waitingMax && (ahead / concurrency) * this.#meanMs <= waitMsMax;
  }

  readonly #release = ({ waiting }: Place): void => {
    this.stats.places -= 1;
    if (waiting === null) return;
    this.stats.abandoned += 1;
    waiting.giveUp();
  };

  async #run<T>(place: HashPlace, compute: () => Promise<T>): Promise<T> {
    if (!(place instanceof Place)) throw new TypeError('a place that this queue did not give');
    if (place.isReleased) {
      this.stats.abandoned += 1;
      throw overloaded();
    }
    await this.#waitForTurn(place);
    const startedAt = this.#now();
    try {
      return await compute();
    } finally {
      const tookMs = this.#now() - startedAt;
      this.#meanMs = this.#meanMs === 0 ? tookMs : this.#meanMs + (tookMs - this.#meanMs) * MEAN_WEIGHT;
      this.stats.computed += 1;
      this.stats.running -= 1;
      this.#startNext();
    }
  }

  /** Resolves when a hash of this place may begin, which by then counts as running. */
  #waitForTurn(place: Place): Promise<void> {
    if (this.stats.running < this.#options.concurrency) {
      this.stats.running += 1;
      this.onWaited(0);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        place.waiting = null;
        this.#waiting.delete(waiting);
        this.stats.waiting = this.#waiting.size;
      };
      const waiting: Waiting = {
        place,
        since: this.#now(),
        start: () => {
          end();
          this.stats.running += 1;
          this.onWaited((this.#now() - waiting.since) / 1_000);
          resolve();
        },
        giveUp: () => {
          end();
          reject(overloaded());
        },
      };
      const timer = setTimeout(() => {
        this.stats.expired += 1;
        waiting.giveUp();
      }, this.#options.waitMsMax);
      place.waiting = waiting;
      this.#waiting.add(waiting);
      this.stats.waiting = this.#waiting.size;
    });
  }

  #startNext(): void {
    const [next] = this.#waiting;
    next?.start();
  }
}
