import { encodeOwnCursor, parseCursor, type OwnCursor, type RecoveryFailure, type StreamPosition } from '@infrasignal/shared';
import type { Hub } from '../hub/hub.ts';
import type { HubEvent } from '../hub/ports.ts';
import { isTrueHint } from './hint.ts';
import { NOWHERE, readOwnCursor, type OwnJoin, type OwnPlan, type OwnResume } from './own-resume.ts';
import type { JoinPlan, LogView } from './resume.ts';
import type { SharedReader } from './shared-reader.ts';

export interface UserResumeOptions {
  readonly ownResume: OwnResume;
  readonly reader: SharedReader;
  readonly hub: Pick<Hub, 'broadcasts'>;
}

/** What somebody missed of what was for everybody. */
export interface Missed {
  /** The broadcast that it has, before these. */
  readonly seq: number;
  readonly events: readonly HubEvent[];
  /** Without a broadcast before these, a cursor is placed by its hint alone: one that has none of them behind it. */
  readonly before?: StreamPosition;
}

/**
 * Joins a socket to what a user may see: their own log, and that of everybody. One cursor covers both, and so does the
 * answer: all that was missed of both, or a reason.
 */
export class UserResume {
  readonly #options: UserResumeOptions;

  constructor(options: UserResumeOptions) {
    this.#options = options;
  }

  /** @throws StreamUnreadableError, ReadRefusedError, JoinAbandonedError */
  async join(join: OwnJoin): Promise<JoinPlan> {
    const { log } = join;
    const own = await this.#options.ownResume.join(join);
    if (join.after === null || own.failure !== null) return toPlan(join, own, fromNow(log));
    const cursor = parseCursor(join.after);
    const missed = cursor?.kind === 'own' ? await this.findMissed(join, cursor) : fromNow(log);
    if (typeof missed !== 'string') return toPlan(join, own, missed);
    const live: OwnPlan = { ...own, seq: own.lastSeq ?? 0, failure: missed, replay: [], hint: log.anchor };
    return toPlan(join, live, fromNow(log));
  }

  /** What came after the cursor of what was for everybody. @throws StreamUnreadableError, ReadRefusedError */
  async findMissed(join: OwnJoin, cursor: OwnCursor): Promise<Missed | RecoveryFailure> {
    const { broadcasts } = this.#options.hub;
    const { broadcastSeq: newestSeq } = join.log;
    const { broadcastSeq: seq, hint } = cursor;
    if (seq > newestSeq) return this.#findAhead(join, cursor);
    // A plain number says nothing of broadcasts, and so nothing is owed.
    if (seq === newestSeq || hint === null) return fromNow(join.log);
    const isPlaced = seq === 0 && (await isTrueHint(this.#options.reader, join, hint));
    const events = isPlaced
      ? broadcasts.afterPosition(hint.sequence, newestSeq)
      : broadcasts.after(seq, newestSeq);
    if (typeof events === 'string') return events;
    return seq > 0 || events.length === 0 ? { seq, events } : { seq, events, before: isPlaced ? hint : NOWHERE };
  }

  /** A client that has more than this node: it was at one that had read on; or nobody ever sent that. */
  async #findAhead(join: OwnJoin, cursor: OwnCursor): Promise<Missed | RecoveryFailure> {
    const { reader } = this.#options;
    const { broadcastSeq: seq, hint } = cursor;
    let newest = await reader.findNewestBroadcast(join.userId);
    // The answer may be that to a question from before this join: one from after it decides.
    if (newest?.decoded.ok === true && newest.decoded.event.seq < seq) newest = await reader.findNewestBroadcast(join.userId);
    const ahead: Missed = { seq, events: [] };
    if (newest?.decoded.ok === true) return newest.decoded.event.seq >= seq ? ahead : 'unknown_cursor';
    // None is held, or the newest is no event and has no number: that the log is the one with the hint tells as much. A
    // hint that is not true tells nothing: the broker may have lost its event, and given it another place.
    return hint !== null && (await isTrueHint(reader, join, hint)) ? ahead : 'evicted';
  }
}

function fromNow({ broadcastSeq }: LogView): Missed {
  return { seq: broadcastSeq, events: [] };
}

/**
 * Puts the two logs together in the order of the stream. Nothing is taken from beyond what this node had read when the
 * socket was registered: from there on it listens itself, and a cursor names one place for both logs.
 */
function toPlan(join: OwnJoin, own: OwnPlan, missed: Missed): JoinPlan {
  const { userId, log } = join;
  const isRead = ({ position }: HubEvent): boolean => position.sequence <= log.readThrough;
  const replay = own.replay.filter(isRead);
  const isCut = replay.length < own.replay.length;
  // Before its first event, too: one that this node takes for a repetition is not told, and the hole has to be seen.
  const known = replay.at(-1)?.seq ?? own.seq;
  const hint = missed.before ?? (own.hint.sequence <= log.readThrough ? own.hint : log.anchor);
  return {
    seq: own.seq,
    cursor: encodeOwnCursor(userId, own.seq, hint, missed.seq),
    failure: own.failure,
    // What is missing is, or is elsewhere; what is there is proved by its numbers.
    isInDoubt: own.failure !== null && own.failure !== 'limit' && readOwnCursor(join) !== null,
    replay: mergeByPosition(replay, missed.events),
    lastSeq: isCut ? known : own.lastSeq,
    broadcastSeq: missed.seq,
    seenThrough: 0,
  };
}

/** Each list keeps its order, whatever the positions say: after the log changed they are not comparable. */
export function mergeByPosition(first: readonly HubEvent[], second: readonly HubEvent[]): HubEvent[] {
  const merged: HubEvent[] = [];
  let at = 0;
  for (const event of first) {
    for (let next = second[at]; next !== undefined && next.position.sequence < event.position.sequence; next = second[at]) {
      merged.push(next);
      at += 1;
    }
    merged.push(event);
  }
  return [...merged, ...second.slice(at)];
}
