import { ANNOUNCED_SOCKETS_MAX, type SocketAnnouncement } from '@infrasignal/shared';
import type { Clock } from './ports.ts';

/** A node that was not heard of for this long counts as gone, and its sockets with it. Nodes speak once a second. */
const SILENCE_MS_MAX = 2_500;

/**
 * An eviction that rests on what other nodes said waits this long, until a node that died has fallen silent: its
 * clients come here at once, and would otherwise be counted twice. Shorter than the silence, and a crash of one node
 * would close good sockets on the others; longer, and a user is over the limit for longer.
 */
const DOUBT_MS = 3_000;

export interface UserSocketsOptions<Socket> {
  /** Sockets that one user may have, all nodes together. */
  readonly limit: number;
  /** This process, as the other nodes know it: a UUID, new at each start. */
  readonly nodeId: string;
  readonly clock: Clock;
  /** The time of day in milliseconds; only how old sockets are among each other depends on it. */
  readonly timeOfDay: () => number;
  /** Called with a socket of this node that is one too many. It no longer counts. */
  readonly evict: (socket: Socket) => void;
}

/** A socket that is counted, here or on another node. */
export interface CountedSocket<Socket> {
  readonly userId: number;
  readonly node: string;
  readonly number: number;
  readonly openedAt: number;
  /** Null: of another node. */
  readonly socket: Socket | null;
}

interface OtherNode {
  number: number;
  heardAtMs: number;
}

/** Oldest first; alike on every node. */
function compareAge(a: CountedSocket<unknown>, b: CountedSocket<unknown>): number {
  return a.openedAt - b.openedAt || (a.node < b.node ? -1 : a.node > b.node ? 1 : a.number - b.number);
}

/**
 * Keeps each user to a number of sockets over all nodes, the newest ones, without a message per frame and without
 * anybody who knows everything.
 *
 * A node only has to judge its own sockets, and a socket is one too many when `limit` newer ones are open. All that
 * are newer were announced after it was opened, so a node remembers what it hears of the users it has, and nothing
 * else. “Newer” goes by a logical clock (Lamport 1978) that is never behind the time of day: an opening that heard of
 * another is later than it, whatever the clocks say.
 *
 * Announcements may be lost. A gap in a node's announcements, its silence, or our own absence from the broker forgets
 * its sockets, so what is not known makes the count smaller. A partition lets a user have the limit on each side. The
 * one way in which a loss can count too many is that a socket counts for as long after its end as its node may be
 * silent: nobody's socket is closed who did not have more than they may within the last three seconds.
 */
export class UserSockets<Socket> {
  readonly #options: UserSocketsOptions<Socket>;
  readonly #byUser = new Map<number, CountedSocket<Socket>[]>();
  readonly #nodes = new Map<string, OtherNode>();
  /** Users over the limit by what others said, and from when on that is believed. */
  readonly #doubts = new Map<number, number>();
  readonly #unsaidOpened = new Map<number, CountedSocket<Socket>>();
  #unsaidClosed: CountedSocket<Socket>[] = [];
  #time = 0;
  #lastSocket = 0;
  #lastAnnouncement = 0;

  constructor(options: UserSocketsOptions<Socket>) {
    this.#options = options;
  }

  /** Counts a socket of this node; older ones that are too many are evicted. */
  opened(userId: number, socket: Socket): CountedSocket<Socket> {
    const { nodeId, timeOfDay } = this.#options;
    this.#time = Math.max(this.#time + 1, timeOfDay());
    this.#lastSocket += 1;
    const counted = { userId, node: nodeId, number: this.#lastSocket, openedAt: this.#time, socket };
    this.#unsaidOpened.set(counted.number, counted);
    const sockets = this.#byUser.get(userId);
    if (sockets === undefined) this.#byUser.set(userId, [counted]);
    else sockets.push(counted);
    this.#judge(userId);
    return counted;
  }

  /** A socket of this node is gone. Harmless for one that was evicted. */
  closed(counted: CountedSocket<Socket>): void {
    if (!this.#remove(counted)) return;
    if (!this.#unsaidOpened.delete(counted.number)) this.#unsaidClosed.push(counted);
    const rest = this.#byUser.get(counted.userId);
    // What others have only matters beside a socket of ours.
    if (rest?.every(({ socket }) => socket === null) === true) this.#byUser.delete(counted.userId);
  }

  /** What the other nodes have not been told yet; null when that is nothing. */
  takeAnnouncement(isSignOfLifeDue: boolean): SocketAnnouncement | null {
    if (this.#unsaidOpened.size + this.#unsaidClosed.length === 0 && !isSignOfLifeDue) return null;
    const opened = [...this.#unsaidOpened.values()].slice(0, ANNOUNCED_SOCKETS_MAX);
    for (const { number } of opened) this.#unsaidOpened.delete(number);
    const closed = this.#unsaidClosed.splice(0, ANNOUNCED_SOCKETS_MAX);
    this.#lastAnnouncement += 1;
    return {
      node: this.#options.nodeId,
      number: this.#lastAnnouncement,
      at: this.#time,
      opened: opened.map(({ userId, number, openedAt }) => [userId, number, openedAt]),
      closed: closed.map(({ userId, number }) => [userId, number]),
    };
  }

  /** What another node announced. */
  hear({ node, number, at, opened, closed }: SocketAnnouncement): void {
    const { clock, nodeId } = this.#options;
    if (node === nodeId) return;
    this.#time = Math.max(this.#time, at);
    const known = this.#nodes.get(node);
    if (known !== undefined && number !== known.number + 1) this.#forget(node);
    this.#nodes.set(node, { number, heardAtMs: clock.now() });
    for (const [userId, socketNumber, openedAt] of opened) {
      const sockets = this.#byUser.get(userId);
      if (sockets === undefined) continue;
      sockets.push({ userId, node, number: socketNumber, openedAt, socket: null });
      sockets.sort(compareAge);
      this.#judge(userId);
    }
    for (const [userId, socketNumber] of closed) this.#remove({ userId, node, number: socketNumber });
  }

  /** Nothing is known of the other nodes any more: what they said meanwhile did not come here. */
  forgetOthers(): void {
    for (const node of [...this.#nodes.keys()]) this.#forget(node);
  }

  /** Call several times a second: forgets nodes that fell silent, and settles doubts that have lasted. */
  tick(): void {
    const nowMs = this.#options.clock.now();
    for (const [node, { heardAtMs }] of this.#nodes) if (nowMs - heardAtMs > SILENCE_MS_MAX) this.#forget(node);
    for (const [userId, believedAtMs] of this.#doubts) {
      if (believedAtMs > nowMs) continue;
      this.#doubts.delete(userId);
      const sockets = this.#byUser.get(userId) ?? [];
      this.#evict(sockets.slice(0, Math.max(0, sockets.length - this.#options.limit)));
    }
  }

  /** Evicts what is too many by our own knowledge at once, and by others' later. */
  #judge(userId: number): void {
    const { clock, limit } = this.#options;
    const sockets = this.#byUser.get(userId) ?? [];
    if (sockets.length <= limit) return;
    const ours = sockets.filter(({ socket }) => socket !== null);
    this.#evict(ours.slice(0, Math.max(0, ours.length - limit)));
    const isStillOver = (this.#byUser.get(userId)?.length ?? 0) > limit;
    if (isStillOver && !this.#doubts.has(userId)) this.#doubts.set(userId, clock.now() + DOUBT_MS);
  }

  #evict(surplus: readonly CountedSocket<Socket>[]): void {
    for (const counted of surplus) {
      if (counted.socket === null) continue;
      this.closed(counted);
      this.#options.evict(counted.socket);
    }
  }

  #remove({ userId, node, number }: Pick<CountedSocket<Socket>, 'userId' | 'node' | 'number'>): boolean {
    const sockets = this.#byUser.get(userId) ?? [];
    const at = sockets.findIndex((counted) => counted.number === number && counted.node === node);
    if (at < 0) return false;
    sockets.splice(at, 1);
    return true;
  }

  #forget(node: string): void {
    this.#nodes.delete(node);
    for (const [userId, sockets] of this.#byUser) {
      if (!sockets.some((counted) => counted.node === node)) continue;
      this.#byUser.set(userId, sockets.filter((counted) => counted.node !== node));
    }
  }
}
