import type { TestContext } from '@infrasignal/testkit';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How one of the crowd keeps a connection busy for nothing. */
interface Manner {
  readonly first: string;
  /** Sent again and again; empty: it falls silent. */
  readonly drip: string;
  readonly reads: boolean;
}

export interface CrowdTarget {
  /** Of a service. */
  readonly url: string;
  /** A path with an answer that is larger than what is under way on a connection anyway. */
  readonly largePath: string;
}

/** 2,000 connections in about a second. */
const OPENED_AT_ONCE = 40;
const OPENING_PAUSE_MS = 20;

/** Often enough that no limit on silence ever sees any. */
const DRIP_INTERVAL_MS = 1_000;

function mannersFor({ url, largePath }: CrowdTarget): Manner[] {
  const { host } = new URL(url);
  const post = `POST /api/login/ HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`;
  return [
    { first: `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `, drip: 'x', reads: true },
    { first: `${post}Content-Length: 1000\r\n\r\n{`, drip: ' ', reads: true },
    { first: `${post}Transfer-Encoding: chunked\r\n\r\n`, drip: '1\r\n \r\n', reads: true },
    { first: '', drip: '', reads: true },
    { first: `GET ${largePath} HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(5), drip: '', reads: false },
  ];
}

interface Member {
  readonly target: CrowdTarget;
  readonly manner: Manner;
  socket: Socket;
}

function hasEnded(socket: Socket): boolean {
  return socket.readableEnded || socket.destroyed;
}

/** Many connections that send, or read, as slowly as they can, and come back when they are closed. None hangs up. */
export class SlowCrowd {
  readonly #members: Member[] = [];
  readonly #timer: NodeJS.Timeout;
  #returns = 0;
  #mayReturn = true;

  private constructor(t: TestContext) {
    this.#timer = setInterval(() => {
      for (const member of this.#members) this.#drip(member);
    }, DRIP_INTERVAL_MS);
    t.teardown(() => {
      this.leave();
    });
  }

  /** @param count connections in all, spread over the targets and over every way to be slow */
  static async gather(t: TestContext, targets: readonly CrowdTarget[], count: number): Promise<SlowCrowd> {
    const crowd = new SlowCrowd(t);
    const ways = targets.flatMap((target) => mannersFor(target).map((manner) => ({ target, manner })));
    for (let at = 0; at < count; at += 1) {
      const way = ways[at % ways.length];
      if (way !== undefined) crowd.#members.push({ ...way, socket: crowd.#open(way.target, way.manner) });
      // The load comes from this process too, and must not wait for the crowd to be made.
      if (at % OPENED_AT_ONCE === 0) await sleep(OPENING_PAUSE_MS);
    }
    return crowd;
  }

  /** How often one came back after its connection was closed. */
  get returns(): number {
    return this.#returns;
  }

  /** Connections that are still open, as far as can be seen: those that read nothing do not see their end. */
  get open(): number {
    return this.#members.filter(({ socket }) => !hasEnded(socket)).length;
  }

  /** From now on a connection that is closed stays so. Those that do not read hang up: they cannot see that it is. */
  stopReturning(): void {
    this.#mayReturn = false;
    for (const { manner, socket } of this.#members) if (!manner.reads) socket.destroy();
  }

  leave(): void {
    clearInterval(this.#timer);
    for (const { socket } of this.#members) socket.destroy();
  }

  #open({ url }: CrowdTarget, { first, reads }: Manner): Socket {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.on('error', () => undefined); // closed by the service: that is what it is there for
    if (reads) socket.resume();
    else socket.pause();
    socket.write(first);
    return socket;
  }

  #drip(member: Member): void {
    const { socket, manner, target } = member;
    if (hasEnded(socket)) {
      if (!this.#mayReturn) return;
      socket.destroy();
      this.#returns += 1;
      member.socket = this.#open(target, manner);
    } else if (manner.drip !== '') {
      socket.write(manner.drip);
    }
  }
}
