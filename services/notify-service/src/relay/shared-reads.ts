import type { Clock } from '../hub/ports.ts';
import type { ReadStats } from './read-stats.ts';

/** On whose behalf something is read. Reads of one client wait for each other, not for those of others. */
export type ReadClient = number | object;

export interface SharedReadsLimits {
  /** Reads under way. */
  readonly inFlightMax: number;
  /** Of these, on behalf of one client. */
  readonly inFlightPerClientMax: number;
  /** Places in the queues. */
  readonly waitingMax: number;
  /** A read that waited for longer than this is not made, in milliseconds. */
  readonly waitMsMax: number;
}

/** Too much is being read, or the broker has not answered for a while. */
export class ReadRefusedError extends Error {
  constructor() {
    super('too many reads are waiting');
    this.name = 'ReadRefusedError';
  }
}

interface Read {
  readonly key: string;
  readonly queuedAtMs: number;
  isStarted: boolean;
  /** Starts it; settles when it is over, and never rejects. */
  run(): Promise<void>;
  refuse(): void;
}

interface Client {
  readonly id: ReadClient;
  readonly waiting: Read[];
  inFlight: number;
}

/**
 * A bounded number of reads at once, taken from the clients' queues in turns, each read made once for all who want the
 * same at the same time. A client with a thousand reads to make delays another one by a turn, not by a thousand.
 *
 * A read that several clients wait for stands in the queue of each of them, and is made at the first of their turns.
 */
export class SharedReads {
  readonly #limits: SharedReadsLimits;
  readonly #clock: Clock;
  readonly #clients = new Map<ReadClient, Client>();
  /** Clients that have something waiting and may have it read, in the order of their turns. */
  readonly #turns = new Set<Client>();
  readonly #reads = new Map<string, { readonly read: Read; readonly answer: Promise<unknown> }>();
  readonly #stats: Pick<ReadStats, 'merged' | 'refused'>;
  #inFlight = 0;
  #waiting = 0;

  constructor(limits: SharedReadsLimits, clock: Clock, stats: Pick<ReadStats, 'merged' | 'refused'>) {
    this.#limits = limits;
    this.#clock = clock;
    this.#stats = stats;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Places taken in the queues. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param key says what is read: under one key there is one read at a time, whose answer all get
   * @throws ReadRefusedError, and whatever the read throws
   */
  ask<Answer>(clientId: ReadClient, key: string, read: () => Promise<Answer>): Promise<Answer> {
    const known = this.#reads.get(key);
    if (known === undefined && this.#waiting >= this.#limits.waitingMax) {
      this.#stats.refused += 1;
      return Promise.reject(new ReadRefusedError());
    }
    const shared = known ?? this.#create(key, read);
    if (known !== undefined) this.#stats.merged += 1;
    if (!shared.read.isStarted && this.#waiting < this.#limits.waitingMax) this.#queue(clientId, shared.read);
    this.#pump();
    // Under one key there is one kind of read, so the answer is of its type.
    return shared.answer as Promise<Answer>;
  }

  #create<Answer>(key: string, start: () => Promise<Answer>): { read: Read; answer: Promise<Answer> } {
    let settle: (answer: Promise<Answer>) => void = () => undefined;
    const answer = new Promise<Answer>((resolve) => {
      settle = resolve;
    });
    const read: Read = {
      key,
      queuedAtMs: this.#clock.now(),
      isStarted: false,
      run: async () => {
        // Whoever gets the answer may ask again at once, and is not given the same one.
        const started = start().finally(() => this.#reads.delete(key));
        settle(started);
        await started.catch(() => undefined);
      },
      refuse: () => {
        settle(Promise.reject(new ReadRefusedError()));
      },
    };
    const shared = { read, answer };
    this.#reads.set(key, shared);
    return shared;
  }

  #queue(id: ReadClient, read: Read): void {
    let client = this.#clients.get(id);
    if (client === undefined) {
      client = { id, waiting: [], inFlight: 0 };
      this.#clients.set(id, client);
    }
    if (client.waiting.includes(read)) return;
    client.waiting.push(read);
    this.#waiting += 1;
    if (client.inFlight < this.#limits.inFlightPerClientMax) this.#turns.add(client);
  }

  #pump(): void {
    while (this.#inFlight < this.#limits.inFlightMax) {
      const [client] = this.#turns;
      if (client === undefined) return;
      this.#turns.delete(client);
      this.#takeTurn(client);
    }
  }

  #takeTurn(client: Client): void {
    const read = client.waiting.shift();
    if (read !== undefined) {
      this.#waiting -= 1;
      if (!read.isStarted) this.#start(client, read);
    }
    this.#settleClient(client);
  }

  #start(client: Client, read: Read): void {
    read.isStarted = true;
    if (this.#clock.now() - read.queuedAtMs > this.#limits.waitMsMax) {
      this.#stats.refused += 1;
      this.#reads.delete(read.key);
      read.refuse();
      return;
    }
    this.#inFlight += 1;
    client.inFlight += 1;
    void read.run().then(() => {
      this.#inFlight -= 1;
      client.inFlight -= 1;
      this.#settleClient(client);
      this.#pump();
    });
  }

  /** Lets a client stand for its next turn, or forgets it. */
  #settleClient(client: Client): void {
    const { inFlight, waiting } = client;
    if (waiting.length > 0) {
      if (inFlight < this.#limits.inFlightPerClientMax) this.#turns.add(client);
    } else if (inFlight === 0) {
      this.#clients.delete(client.id);
    }
  }
}
