import type { Schedule } from './sim-world.ts';

/**
 * Schedules in a log that stayed what it was, which broke a promise once, or seemed to: as short as they could be made, and
 * why they did.
 */
export const sameLogRegressions: Readonly<Record<string, Schedule>> = {
  /**
   * The greeting’s cursor had no broadcast in it, and a hint behind the broadcasts that the replay was about to bring.
   * A client that was cut off in between came back with it, and never had them.
   */
  'cut off between the greeting and the first broadcasts': {
    seed: 402772654,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'news', count: 2, waitMs: 4 },
      { kind: 'comeBack', client: 1, cursor: 'last', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 126 },
      { kind: 'garbage', user: 1, count: 1, waitMs: 42 },
      { kind: 'comeBack', client: 1, cursor: 'older', waitMs: 10 },
    ],
  },
  /** What a node had not read was dropped for its age: it opened one consumer after the other until something new came. */
  'the last message is dropped before it was read': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'lag', node: 0, ms: 200, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
      { kind: 'crashBroker', lost: 0, downMs: 10, forgetsIds: false, waitMs: 10 },
      { kind: 'evict', count: 1, waitMs: 0 },
    ],
  },
  /**
   * A client had a broadcast that its node had not read, and the newest message for everybody was no event: without a number
   * to compare with, it was told that its cursor was of another log.
   */
  'ahead of a node, and the newest for everybody is no event': {
    seed: 45,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'lag', node: 1, ms: 1_500, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 0 },
      { kind: 'garbageNews', count: 1, waitMs: 0 },
      { kind: 'crashNode', node: 0, waitMs: 0 },
    ],
  },
  /** The last read message was dropped for its age between two questions. A loss was taken for a new log, and told to nobody. */
  'dropped for its age while the place was looked up': {
    seed: 4294967277,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 2, waitMs: 3 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 295 },
      { kind: 'news', count: 2, waitMs: 12 },
      { kind: 'evict', count: 2, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 300 },
      { kind: 'readOn', client: 0, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
    ],
  },
  /** A reader of everything began behind a message that is no event: its place is the beginning, and it is told all. */
  'begun behind a message that is no event': {
    seed: 715363843,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'crashNode', node: 1, waitMs: 18 },
      { kind: 'login', user: 2, count: 3, waitMs: 0 },
      { kind: 'news', count: 2, waitMs: 191 },
      { kind: 'login', user: 3, count: 1, waitMs: 4 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 2 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 0 },
      { kind: 'garbage', user: 1, count: 1, waitMs: 0 },
      { kind: 'comeBack', client: 1, cursor: 'older', waitMs: 106 },
      { kind: 'pass', waitMs: 11 },
      { kind: 'comeBack', client: 2, cursor: 'none', waitMs: 20 },
      { kind: 'readOn', client: 0, waitMs: 20 },
      { kind: 'crashNode', node: 0, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 2 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 10 },
    ],
  },
  /** With no event to compare with, any number was taken for a place, and its owner heard nothing any more. */
  'a number far ahead of the log, and the newest is no event': {
    seed: 4294950893,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'garbage', user: 1, count: 1, waitMs: 300 },
      { kind: 'comeBack', client: 0, cursor: 'junk', waitMs: 59 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 10 },
      { kind: 'login', user: 3, count: 1, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 300 },
      { kind: 'comeBack', client: 3, cursor: 'last', waitMs: 0 },
    ],
  },
  /**
   * A reader of everything began at a slow node, to which a broadcast was still on its way that the stream had dropped for
   * its age. It was told of it once, when it had come back: it was the observer that thought it had it.
   */
  'dropped for its age, and still on its way to a slow node': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'lag', node: 0, ms: 1_500, waitMs: 10 },
      { kind: 'news', count: 1, waitMs: 1_400 },
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'evict', count: 2, waitMs: 100 },
      { kind: 'comeBack', client: 2, cursor: 'none', waitMs: 210 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 0 },
    ],
  },
  /**
   * A reader of everything began at a node that had lost an event unread, and went to one that had it in memory. It was told
   * of it for the first time: it was the observer that thought it had what it was not owed.
   */
  'begun behind what its node had lost, and told of it by another': {
    seed: 22,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
      { kind: 'login', user: 1, count: 1, waitMs: 1 },
      { kind: 'evict', count: 1, waitMs: 1 },
      { kind: 'crashBroker', lost: 0, downMs: 1_042, forgetsIds: false, waitMs: 1_078 },
      { kind: 'evict', count: 1, waitMs: 122 },
      { kind: 'drainNode', node: 1, waitMs: 300 },
    ],
  },
  /**
   * A client came to a node that lagged behind what it had, while the newest event for everybody was being asked for on
   * behalf of somebody else: the answer was older than its cursor, which was said to be of no log.
   */
  'ahead of the answer to an earlier question': {
    seed: 10,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 2, count: 1, waitMs: 10 },
      { kind: 'login', user: 1, count: 4, waitMs: 0 },
      { kind: 'comeBack', client: 5, cursor: 'last', waitMs: 0 },
      { kind: 'login', user: 3, count: 4, waitMs: 3 },
      { kind: 'comeBack', client: 4, cursor: 'none', waitMs: 9 },
      { kind: 'lag', node: 1, ms: 1_500, waitMs: 359 },
      { kind: 'slowBroker', ms: 500, waitMs: 0 },
      { kind: 'login', user: 3, count: 1, waitMs: 10 },
      { kind: 'news', count: 3, waitMs: 0 },
      { kind: 'news', count: 3, waitMs: 21 },
      { kind: 'drainNode', node: 0, waitMs: 71 },
      { kind: 'login', user: 3, count: 4, waitMs: 41 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 11 },
      { kind: 'login', user: 1, count: 2, waitMs: 10 },
      { kind: 'news', count: 3, waitMs: 10 },
      { kind: 'pass', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
    ],
  },
};
