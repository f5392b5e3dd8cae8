import type { Schedule } from './sim-world.ts';

/** Schedules that broke a promise once, or seemed to, as short as they could be made, and why they did. */
export const regressions: Readonly<Record<string, Schedule>> = {
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
  /**
   * The broker lost two events, and a new broadcast was stored before they were again: the last of them stood where it
   * had been, which was taken for proof that nothing had changed. The broadcast before it was never read.
   */
  'the last event at its old position, behind a new one': {
    seed: 3683114630,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'login', user: 3, count: 1, waitMs: 2 },
      { kind: 'crashBroker', lost: 2, downMs: 99, forgetsIds: false, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'stall', client: 0, waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 10 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 0 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 10 },
    ],
  },
  /** The only message that was read was no event, so nothing proved the log, and its new first message was not read. */
  'a log that was rolled back to before its only message': {
    seed: 1,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'garbage', user: 1, count: 1, waitMs: 1_267 },
      { kind: 'news', count: 1, waitMs: 0 },
      { kind: 'crashBroker', lost: 1, downMs: 10, forgetsIds: false, waitMs: 10 },
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 0 },
      { kind: 'delivery', node: 0, fault: 'lost', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
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
   * A reader of everything came from a node that had noticed the new stream to one that had not, and was sent again
   * what it had, when that one noticed.
   */
  'ahead of a node that does not know yet that the stream is another one': {
    seed: 4294966015,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 2, waitMs: 0 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'drainNode', node: 1, waitMs: 10 },
    ],
  },
  /**
   * A join on a node that had not noticed the new stream was told an event of it by the broker, at a position that the
   * node had behind it in the old one. When it was read at last it was taken for a repetition, and told to nobody.
   */
  'told by the broker before the node knows that the stream is another one': {
    seed: 3043873400,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'drainNode', node: 1, waitMs: 10 },
      { kind: 'news', count: 1, waitMs: 300 },
      { kind: 'recreate', areTold: false, waitMs: 10 },
      { kind: 'delivery', node: 0, fault: 'lost', waitMs: 10 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
      { kind: 'loseSocket', client: 0, isNoticed: false, waitMs: 300 },
    ],
  },
  /**
   * The broker forgot what it had stored and was given it again. A reader of everything that came back when half of it was
   * read again was told that half, and nothing was missing: it was the observer that took its place back with it.
   */
  'told again half of what it has': {
    seed: 6,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 2, waitMs: 10 },
      { kind: 'crashBroker', lost: 0, downMs: 300, forgetsIds: true, waitMs: 200 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 0 },
    ],
  },
};
