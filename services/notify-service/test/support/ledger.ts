import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectedFrame, NotificationFrame } from '@infrasignal/shared';
import { WebSocket } from 'ws';

/** A number between 0 and 1 from a printed seed, so that a failing run can be had again (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface PersistentClientOptions {
  /** Where to connect; asked before each attempt if it is a function. */
  readonly url: string | (() => string);
  /** Made anew for each attempt, as a client would refresh it. */
  readonly token: () => string;
}

/** What a good client does: keeps its cursor, comes back after every close and every refusal, and notes everything. */
export class PersistentClient {
  readonly notifications: NotificationFrame[] = [];
  readonly greetings: ConnectedFrame[] = [];
  readonly closes: number[] = [];
  readonly #options: PersistentClientOptions;
  #cursor: string | null = null;
  #socket: WebSocket | null = null;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(options: PersistentClientOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get seqs(): number[] {
    return this.notifications.map(({ seq }) => seq);
  }

  get isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#socket?.terminate();
    await this.#running;
  }

  /** What is wrong with what it has seen; empty when every event up to `lastSeq` came once, in order. */
  complaints(lastSeq: number): string[] {
    const complaints: string[] = [];
    for (const { recovered, reason } of this.greetings) if (!recovered) complaints.push(`not recovered: ${reason}`);
    const { seqs } = this;
    for (const [at, seq] of seqs.entries()) {
      if (seq !== at + 1) complaints.push(`seq ${seq} as number ${at + 1}`);
    }
    if (seqs.length !== lastSeq) complaints.push(`${seqs.length} of ${lastSeq}`);
    return complaints.slice(0, 5);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#connectOnce();
      if (!this.#isStopped) await sleep(20 + Math.random() * 80);
    }
  }

  async #connectOnce(): Promise<void> {
    const { url, token } = this.#options;
    const after = this.#cursor === null ? '' : `?after=${encodeURIComponent(this.#cursor)}`;
    const base = typeof url === 'string' ? url : url();
    const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/ws/notifications/${after}`, ['infrasignal.v1'], {
      headers: { authorization: `Bearer ${token()}` },
      handshakeTimeout: 5_000,
    });
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString('utf8')) as { type: string };
      if (frame.type === 'connected') {
        this.greetings.push(frame as ConnectedFrame);
        this.#cursor = (frame as ConnectedFrame).cursor;
      } else if (frame.type === 'ping') {
        socket.send('{"type":"pong"}');
      } else if (frame.type.includes('.')) {
        this.notifications.push(frame as NotificationFrame);
        this.#cursor = (frame as NotificationFrame).cursor;
      }
    });
    await new Promise<void>((resolve) => {
      socket.on('close', (code) => {
        this.closes.push(code);
        resolve();
      });
    });
  }
}

/** Publishes for many users at once, each user's events in order, until it is told to stop. */
export class Load {
  readonly #publish: (userId: number) => Promise<unknown>;
  #isRunning = true;
  readonly #running: Promise<unknown>;
  count = 0;

  constructor(users: readonly number[], pauseMs: number, publish: (userId: number) => Promise<unknown>) {
    this.#publish = publish;
    this.#running = Promise.all(users.map((userId) => this.#run(userId, pauseMs)));
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#running;
  }

  async #run(userId: number, pauseMs: number): Promise<void> {
    while (this.#isRunning) {
      await this.#publish(userId);
      this.count += 1;
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}
