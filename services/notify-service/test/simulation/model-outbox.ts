import { broadcastSubject, dataSchemaUri, eventSubject, sessionRevoked, userLogin } from '@infrasignal/shared';
import type { ModelBroker } from './model-broker.ts';
import type { Message } from './model-stream.ts';

/** In place of a user's id: what is for everybody. */
export const EVERYBODY = 0;

const NEWS = 'app.news';

/** An event that was committed: it happened, whatever becomes of the broker. */
export interface TrueEvent {
  readonly userId: number;
  readonly seq: number;
  readonly id: string;
  readonly subject: string;
  readonly data: Uint8Array;
  /** It was damaged on its way into the stream: nobody can be told of it. */
  readonly isVoid: boolean;
  /** It was dropped for its age, or is too old to be published again. */
  isOld: boolean;
  /** The stream was given it more than once, because it had lost it or forgot that it had it. */
  timesStored: number;
  /** The lowest position that it ever had. */
  firstPosition: number;
}

/** The first twelve digits differ: a cursor carries no more of an event's id. */
function eventId(number: number): string {
  return `${number.toString(16).padStart(8, '0')}-5eed-4000-8000-000000000000`;
}

/**
 * What auth-service committed, and its relay: each user's events in order, each until it is acknowledged, and the last
 * minutes' once more whenever the broker is another one.
 */
export class ModelOutbox {
  readonly #broker: ModelBroker;
  readonly #logs = new Map<number, TrueEvent[]>();
  readonly #events = new Map<string, TrueEvent>();
  /** Of each user, what is to be published, in order. */
  #due = new Map<number, TrueEvent[]>();
  #busy = new Set<number>();
  #life = 0;
  #count = 0;
  /** Events that the stream had, has not, and will have again. */
  readonly #lost = new Set<string>();
  /** Null: it never was without any. */
  #wholeSinceMs: number | null = null;
  /** Something is gone from the stream for good. */
  hasEvicted = false;

  constructor(broker: ModelBroker) {
    this.#broker = broker;
  }

  logOf(userId: number): readonly TrueEvent[] {
    return this.#logs.get(userId) ?? [];
  }

  find(userId: number, seq: number): TrueEvent | null {
    return this.logOf(userId)[seq - 1] ?? null;
  }

  get users(): number[] {
    return [...this.#logs.keys()];
  }

  /** Everything that was committed was published, and nothing has to be published again. */
  get isIdle(): boolean {
    return this.#life === this.#broker.life && [...this.#due.values()].every((events) => events.length === 0);
  }

  /** True if at some moment since then the stream was without something that it had been given. */
  wasTornSince(atMs: number): boolean {
    return this.#lost.size > 0 || (this.#wholeSinceMs !== null && this.#wholeSinceMs >= atMs);
  }

  /** True if positions do not mean what they meant at first. */
  get hasChanged(): boolean {
    return this.#broker.stream.isRecreated || this.wasTornSince(0);
  }

  login(userId: number, isVoid = false): TrueEvent {
    const seq = this.logOf(userId).length + 1;
    // In place of the number stands the seq: it is all that a client of the inherited feed is told.
    return this.#commit(userId, userLogin.type, { user_id: userId, phone_number: String(seq) }, isVoid);
  }

  revoke(userId: number, sessionIds: readonly string[]): TrueEvent {
    return this.#commit(userId, sessionRevoked.type, { user_id: userId, session_ids: sessionIds, reason: 'logout' }, false);
  }

  broadcast(isVoid = false): TrueEvent {
    const number = this.logOf(EVERYBODY).length + 1;
    const data = {
      notification_id: eventId(number),
      user_id: null,
      phone_number: null,
      messages: { fr: `n° ${number}`, en: `no. ${number}` },
      data: { number },
    };
    return this.#commit(EVERYBODY, NEWS, data, isVoid);
  }

  /**
   * The oldest messages are dropped for their age: nobody publishes them again. An ended session stays: by the time that
   * is dropped, days later, no token of it lives.
   */
  dropOldest(countMax: number): void {
    const { messages } = this.#broker.stream;
    const kept = messages.findIndex(({ subject }) => subject.endsWith(sessionRevoked.type));
    const count = Math.min(countMax, kept < 0 ? messages.length : kept);
    for (const { id } of this.#broker.stream.dropOldest(count)) this.#eventOf(id).isOld = true;
    this.hasEvicted = true;
    this.#forgetOld();
  }

  /** The broker's disk kept less than was acknowledged. */
  noteLost(lost: readonly Message[]): void {
    for (const { id } of lost) this.#lost.add(id);
    this.#forgetOld();
  }

  /** Call often: publishes what is due, and notices that the broker is another one. */
  tick(): void {
    if (!this.#broker.isUp || this.#broker.isPaused) return;
    if (this.#life !== this.#broker.life) {
      this.#life = this.#broker.life;
      this.#busy = new Set();
      for (const [userId, log] of this.#logs) this.#due.set(userId, log.filter(({ isOld }) => !isOld));
    }
    for (const userId of this.#due.keys()) this.#publishNext(userId);
  }

  #eventOf(id: string): TrueEvent {
    const found = this.#events.get(id);
    if (found === undefined) throw new Error('a message that nobody published');
    return found;
  }

  #commit(userId: number, type: string, data: object, isVoid: boolean): TrueEvent {
    this.#count += 1;
    const log = this.#logs.get(userId) ?? [];
    this.#logs.set(userId, log);
    const seq = log.length + 1;
    const id = eventId(this.#count);
    const envelope = {
      specversion: '1.0',
      id,
      source: 'simulation',
      type,
      subject: userId === EVERYBODY ? 'broadcasts' : `users/${userId}`,
      time: new Date(this.#broker.time.timeOfDayMs).toISOString(),
      datacontenttype: 'application/json',
      dataschema: dataSchemaUri({ type, version: 1 }),
      seq,
      data,
    };
    const bytes = Buffer.from(isVoid ? '{' : JSON.stringify(envelope));
    const subject = userId === EVERYBODY ? broadcastSubject(type) : eventSubject(userId, type);
    const event = { userId, seq, id, subject, data: bytes, isVoid, isOld: false, timesStored: 0, firstPosition: Infinity };
    log.push(event);
    this.#events.set(id, event);
    const due = this.#due.get(userId);
    if (due === undefined) this.#due.set(userId, [event]);
    else due.push(event);
    this.tick();
    return event;
  }

  #publishNext(userId: number): void {
    const due = this.#due.get(userId) ?? [];
    const [event] = due;
    if (event === undefined || this.#busy.has(userId)) return;
    const { random, time } = this.#broker;
    const life = this.#life;
    this.#busy.add(userId);
    this.#broker.arrive(() => {
      if (life !== this.#broker.life) return;
      if (this.#broker.store(event.id, event.subject, event.data)) {
        event.timesStored += 1;
        event.firstPosition = Math.min(event.firstPosition, this.#broker.stream.lastSequence);
      }
      this.#noteStored(event.id);
      // The acknowledgement may not arrive: then it is published once more, by the broker's next life.
      time.after(random.between(0, 4), () => {
        if (life !== this.#life || life !== this.#broker.life || !this.#broker.isUp) return;
        due.shift();
        this.#busy.delete(userId);
        this.#publishNext(userId);
      });
    });
  }

  #noteStored(id: string): void {
    if (this.#lost.delete(id) && this.#lost.size === 0) this.#wholeSinceMs = this.#broker.time.nowMs;
  }

  /** What is old is not published again: if it was lost, it is gone. */
  #forgetOld(): void {
    for (const id of this.#lost) if (this.#eventOf(id).isOld) this.#noteStored(id);
  }
}
