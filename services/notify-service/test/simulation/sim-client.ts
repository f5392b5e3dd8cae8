import { closeCodes, encodeOwnCursor, shouldReconnect } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { Listener } from '../../src/gateway/listener.ts';
import { variantOf } from '../../src/gateway/listener.ts';
import { Observer, type ClientKind, type ReceivedFrame, type Standing } from './observer.ts';
import type { ModelOutbox, TrueEvent } from './model-outbox.ts';
import type { TokenRenewal } from '../../src/gateway/token-renewal.ts';
import type { SimNode } from './sim-node.ts';
import { SimSocket } from './sim-socket.ts';
import { endOfToken, issueToken } from './sim-token.ts';
import type { Random, VirtualTime } from './virtual-time.ts';

/** With which cursor a client comes back. */
export type CursorChoice = 'last' | 'older' | 'plain' | 'none' | 'foreign' | 'junk';

/** What it brings to go on listening: a new token, the one it has, another session's, none at all. */
export type RenewalChoice = 'fresh' | 'older' | 'foreign' | 'junk';

const JUNK = ['-1', '9223372036854775808', 'u1.1.x', '999999', 'a1.7.0'];

/** What a client could come back with. */
interface Kept {
  readonly cursor: string;
  readonly standing: Standing;
}

export interface ClientWorld {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly outbox: ModelOutbox;
  /** A node that a load balancer would choose; null when none is ready. */
  chooseNode(): SimNode | null;
  /** A new session of a user. */
  openSession(userId: number): string;
  endOf(sessionId: string): number | null;
  report(error: unknown): void;
}

/** A client as it should be written: it keeps its cursor and its ticket, and comes back. */
export class SimClient {
  readonly kind: ClientKind;
  readonly #world: ClientWorld;
  sessionId: string;
  #token = '';
  #tokenEndMs = 0;
  #ticket: string | null = null;
  #renewal: TokenRenewal | null = null;
  /** What it sent to go on listening, until it is accepted. */
  #offered: string | null = null;
  #kept: Kept[] = [];
  readonly #passed = new Set<TrueEvent>();
  #choice: CursorChoice = 'last';
  #attempt = 0;
  socket: SimSocket | null = null;
  observer: Observer | null = null;
  /** When it was last told that events may be missing. */
  refusedAtMs = -1;

  constructor(kind: ClientKind, world: ClientWorld) {
    this.kind = kind;
    this.#world = world;
    this.sessionId = world.openSession(kind.userId);
    this.#logIn();
    this.#connectSoon();
  }

  /** It is connected, greeted, and its session has not ended. */
  get isLive(): boolean {
    const { observer, socket } = this;
    return socket !== null && observer !== null && observer.isConnected && !observer.isOver;
  }

  /** Leaves, and comes back with another cursor. */
  comeBack(choice: CursorChoice): void {
    this.#choice = choice;
    this.socket?.breakAtNode();
    this.socket?.cut(false);
    this.#gone();
  }

  /** Sends a token, so as to go on listening. */
  renew(choice: RenewalChoice): void {
    const { sessionId, socket } = this;
    const renewal = this.#renewal;
    if (!this.kind.isV1 || socket === null || renewal === null || !this.isLive) return;
    if (choice === 'fresh') this.#offered = this.#issue(sessionId);
    const sent = { fresh: this.#offered ?? '', older: this.#token, foreign: this.#issue('another'), junk: 'junk' }[choice];
    socket.say(() => {
      void renewal.renew(sent);
    });
  }

  /** The network loses the connection. @param isNoticed at once; else by the missing answers to pings */
  lose(isNoticed: boolean): void {
    if (isNoticed) this.socket?.breakAtNode();
    this.socket?.cut(true);
  }

  #gone(): void {
    if (this.observer !== null) this.observer.isOver = true;
    this.observer = null;
    this.socket = null;
    this.#renewal = null;
    this.#offered = null;
    this.#connectSoon();
  }

  #issue(sessionId: string): string {
    const { isFeed, userId } = this.kind;
    return issueToken(userId, sessionId, isFeed, this.#world.time.timeOfDayMs);
  }

  /** A new token, of a new session if the last one ended. */
  #logIn(): void {
    if (this.#world.endOf(this.sessionId) !== null) this.sessionId = this.#world.openSession(this.kind.userId);
    this.#ticket = null;
    this.#token = this.#issue(this.sessionId);
    this.#tokenEndMs = endOfToken(this.#world.time.timeOfDayMs);
  }

  #connectSoon(): void {
    this.#attempt += 1;
    const attempt = this.#attempt;
    const { random, time } = this.#world;
    time.after(random.between(5, 200), () => {
      if (attempt === this.#attempt) this.#connect(attempt);
    });
  }

  #connect(attempt: number): void {
    const node = this.#world.chooseNode();
    if (node === null) {
      this.#connectSoon();
      return;
    }
    const { random, time } = this.#world;
    node.admit({ token: this.#token, ticket: this.#ticket, hasControlFrames: this.kind.isV1 }).then(
      (listener) => {
        // Between the check and the upgrade there are turns of the event loop, and things happen in them.
        time.after(random.between(0, 15), () => {
          if (attempt === this.#attempt) this.#open(node, listener);
        });
      },
      (error: unknown) => {
        if (error instanceof ProblemError && error.definition.status === 401) {
          const isGood = this.#world.endOf(this.sessionId) === null && this.#tokenEndMs > time.timeOfDayMs;
          if (isGood && attempt === this.#attempt) this.#world.report(new Error('a good token was refused'));
          this.#logIn();
        }
        if (attempt === this.#attempt) this.#connectSoon();
      },
    );
  }

  #open(node: SimNode, listener: Listener): void {
    if (!node.isAlive) {
      this.#connectSoon();
      return;
    }
    const { outbox, random, time } = this.#world;
    const { cursor: after, standing } = this.#chooseCursor();
    this.#choice = 'last';
    const observer = new Observer({
      kind: this.kind,
      sessionId: this.sessionId,
      expiresAtMs: this.#tokenEndMs,
      after,
      standing,
      readByNode: node.standing(outbox.users),
      readThrough: node.consumer.readThrough,
      passed: this.#passed,
      outbox,
      openedAtMs: time.nowMs,
      endedAtSeq: ((sessionId) => () => this.#world.endOf(sessionId))(this.sessionId),
    });
    const socket = new SimSocket(node, time, random, {
      received: (frame, writtenAtMs) => {
        if (this.observer === observer) this.#receive(observer, frame, writtenAtMs);
      },
      closed: (code) => {
        if (this.observer === observer) this.#closed(code);
      },
    });
    this.observer = observer;
    this.socket = socket;
    const connection = node.open({ port: socket, variant: variantOf(listener) }, listener, after);
    socket.connection = connection;
    this.#renewal = node.createRenewal(connection, listener);
  }

  #receive(observer: Observer, frame: ReceivedFrame, writtenAtMs: number): void {
    try {
      observer.receive(frame, writtenAtMs);
    } catch (error) {
      this.#world.report(error);
    }
    if (frame.recovered === false) this.refusedAtMs = this.#world.time.nowMs;
    if (frame.type === 'authenticated') this.#noteRenewed(observer);
    if (frame.ticket !== undefined) this.#ticket = frame.ticket;
    // Some clients renew when they are told to, some never do.
    if (frame.type === 'token_expiring' && this.#world.random.happens(0.5)) this.renew('fresh');
    if (frame.cursor !== undefined) this.#kept.push({ cursor: frame.cursor, standing: new Map(observer.standing) });
  }

  #noteRenewed({ expiresAtMs }: Observer): void {
    this.#token = this.#offered ?? this.#token;
    this.#tokenEndMs = Math.max(this.#tokenEndMs, expiresAtMs);
    if (expiresAtMs <= endOfToken(this.#world.time.timeOfDayMs)) return;
    this.#world.report(new Error('listens for longer than any token lives'));
  }

  #closed(code: number): void {
    const isExpired = (this.observer?.expiresAtMs ?? 0) <= this.#world.time.timeOfDayMs;
    if (code === closeCodes.tokenExpired.code && !isExpired) this.#world.report(new Error('closed before its token ended'));
    // What does not pass by coming back: the session ended. Another one begins, and what is missed is still wanted.
    if (!shouldReconnect(code)) {
      if (this.#world.endOf(this.sessionId) === null) this.#world.report(new Error(`closed ${code} without its session's end`));
      this.#logIn();
    } else if (code === closeCodes.tokenExpired.code) {
      this.#logIn();
    }
    this.#gone();
  }

  #chooseCursor(): { cursor: string | null; standing: Standing | null } {
    const { random } = this.#world;
    const last = this.#kept.at(-1);
    if (!this.kind.isV1 || last === undefined || this.#choice === 'none') return { cursor: null, standing: null };
    if (this.#choice === 'older') return this.#kept[random.between(0, this.#kept.length)] ?? last;
    if (this.#choice === 'plain' && !this.kind.isFeed) {
      const seq = last.standing.get(this.kind.userId) ?? 0;
      if (seq > 0) return { cursor: String(seq), standing: null };
    }
    if (this.#choice === 'foreign') {
      const position = { sequence: random.between(1, 20), eventId: '0000abcd-5eed-4000-8000-000000000000' };
      return { cursor: encodeOwnCursor(this.kind.userId + 1, random.between(1, 9), position, 1), standing: null };
    }
    if (this.#choice === 'junk') {
      // A plain number far ahead of the log is a cursor by its form only.
      const junk = JUNK[random.between(0, JUNK.length)] ?? '';
      return { cursor: junk, standing: null };
    }
    return last;
  }
}
