import type { Schedule } from './sim-world.ts';

/**
 * Schedules in which the broker lost events, forgot that it had them or made the stream anew, and a promise was broken once,
 * or seemed to be: as short as they could be made, and why it was.
 */
export const changedLogRegressions: Readonly<Record<string, Schedule>> = {
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
  /**
   * A node that did not know yet of a new log learned a newer event of it from the broker, for one client. To the next one it
   * told that what lay between was lost, for it is not in the log that the node remembers.
   */
  'learned of a new log that the node does not know yet': {
    seed: 22,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 2, count: 3, waitMs: 0 },
      { kind: 'login', user: 1, count: 2, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 5 },
      { kind: 'drainNode', node: 1, waitMs: 0 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
    ],
  },
  /**
   * A reader of everything was told, from the broker, what stood in a new log at a position that its node had behind it
   * in the old one. When the node noticed, it read the same event, for the first time, and told it once more.
   */
  'replayed from a log that the node does not know yet': {
    seed: 45,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 8 },
      { kind: 'evict', count: 1, waitMs: 10 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
    ],
  },
  /** The hint’s event stood at its old position in a new log, behind what its user had not seen: told to be lost, though held. */
  'the hint at its old position, behind what was missed': {
    seed: 13,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'news', count: 1, waitMs: 300 },
      { kind: 'lag', node: 0, ms: 0, waitMs: 697 },
      { kind: 'login', user: 2, count: 3, waitMs: 3 },
      { kind: 'login', user: 1, count: 2, waitMs: 941 },
      { kind: 'news', count: 2, waitMs: 5 },
      { kind: 'drainNode', node: 1, waitMs: 0 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 300 },
      { kind: 'readOn', client: 0, waitMs: 0 },
      { kind: 'lag', node: 0, ms: 0, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 0 },
      { kind: 'crashBroker', lost: 0, downMs: 10, forgetsIds: false, waitMs: 0 },
    ],
  },
  /** A message that is no event was counted once more when the log was read again, and explained a jump that was a loss. */
  'no event, counted twice in a new log': {
    seed: 3956824144,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 2, count: 3, waitMs: 8 },
      { kind: 'crashBroker', lost: 0, downMs: 10, forgetsIds: false, waitMs: 10 },
      { kind: 'evict', count: 3, waitMs: 300 },
      { kind: 'garbage', user: 2, count: 1, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
      { kind: 'crashNode', node: 1, waitMs: 300 },
      { kind: 'recreate', areTold: false, waitMs: 10 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
    ],
  },
  /** A replay held the end of the reader’s own session, which its node had not read yet, and went on behind it. */
  'told of its end by the broker, and of what came behind': {
    seed: 1678786361,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'news', count: 1, waitMs: 2 },
      { kind: 'crashNode', node: 1, waitMs: 47 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
      { kind: 'revoke', client: 0, waitMs: 300 },
      { kind: 'revoke', client: 0, waitMs: 0 },
    ],
  },
  /** What was missed was read from both, and had a hole: it was said to be lost, though nothing was. */
  'read half from a stream that was made anew, and half from memory': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'news', count: 1, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 2 },
      { kind: 'delivery', node: 0, fault: 'lost', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 1 },
      { kind: 'login', user: 1, count: 2, waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 3 },
      { kind: 'news', count: 1, waitMs: 23 },
      { kind: 'login', user: 1, count: 4, waitMs: 9 },
      { kind: 'login', user: 1, count: 2, waitMs: 5 },
      { kind: 'loseSocket', client: 4, isNoticed: false, waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 5 },
      { kind: 'login', user: 1, count: 1, waitMs: 2 },
      { kind: 'recreate', areTold: false, waitMs: 10 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'login', user: 3, count: 1, waitMs: 10 },
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 0 },
    ],
  },
  /** What the broker had stored twice, and is no event, explained a jump of two: a lost broadcast was told to nobody. */
  'a loss explained by a message that is no event, stored twice': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 10 },
      { kind: 'news', count: 1, waitMs: 10 },
      { kind: 'revoke', client: 0, isEverywhere: false, waitMs: 0 },
      { kind: 'evict', count: 2, waitMs: 0 },
      { kind: 'garbageNews', count: 1, waitMs: 300 },
      { kind: 'crashBroker', lost: 0, downMs: 10, forgetsIds: true, waitMs: 0 },
      { kind: 'evict', count: 1, waitMs: 10 },
      { kind: 'garbage', user: 1, count: 1, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 300 },
      { kind: 'lag', node: 0, ms: 0, waitMs: 10 },
      { kind: 'readOn', client: 0, waitMs: 10 },
    ],
  },
  /** A client without an event came with a broadcast’s place that was rolled back. Its cursor was said to be of no log. */
  'a place before anything, and the newest is no event': {
    seed: 3091271769,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'garbage', user: 1, count: 1, waitMs: 0 },
      { kind: 'news', count: 1, waitMs: 0 },
      { kind: 'dropConsumers', waitMs: 300 },
      { kind: 'crashBroker', lost: 1, downMs: 10, forgetsIds: false, waitMs: 0 },
      { kind: 'garbage', user: 1, count: 1, waitMs: 10 },
      { kind: 'drainNode', node: 0, waitMs: 0 },
      { kind: 'login', user: 2, count: 1, waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 300 },
      { kind: 'lag', node: 0, ms: 0, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
    ],
  },
  /** A reader of everything came between a loss and its repair, which its node took for a repetition. */
  'published again behind who came in between': {
    seed: 383346602,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'loseSocket', client: 3, isNoticed: false, waitMs: 0 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 128 },
      { kind: 'slowBroker', ms: 50, waitMs: 212 },
      { kind: 'comeBack', client: 2, cursor: 'last', waitMs: 12 },
      { kind: 'replicaLag', count: 2, waitMs: 10 },
      { kind: 'comeBack', client: 2, cursor: 'junk', waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 3 },
      { kind: 'news', count: 3, waitMs: 10 },
      { kind: 'crashBroker', lost: 1, downMs: 1_826, forgetsIds: false, waitMs: 7 },
      { kind: 'comeBack', client: 4, cursor: 'last', waitMs: 1_770 },
      { kind: 'dropConsumers', waitMs: 290 },
    ],
  },
  /** Its beginning was of the new stream, its end of the old one, in memory: what is elsewhere in the new was left out. */
  'a replay to the feed from two streams': {
    seed: 0,
    readsBatches: true,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 1, count: 2, waitMs: 0 },
      { kind: 'login', user: 1, count: 3, waitMs: 0 },
      { kind: 'loseSocket', client: 2, isNoticed: false, waitMs: 10 },
      { kind: 'login', user: 3, count: 4, waitMs: 1 },
      { kind: 'login', user: 1, count: 2, waitMs: 7 },
      { kind: 'recreate', areTold: false, waitMs: 0 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
    ],
  },
  /** A node with a small memory read again, for the first time, what came before it, and told who had it. */
  'read again what it never remembered': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'crashNode', node: 1, waitMs: 10 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 300 },
      { kind: 'login', user: 3, count: 2, waitMs: 2 },
      { kind: 'login', user: 1, count: 2, waitMs: 10 },
      { kind: 'pauseBroker', ms: 100, waitMs: 63 },
      { kind: 'news', count: 1, waitMs: 11 },
      { kind: 'login', user: 1, count: 3, waitMs: 7 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 10 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 1 },
      { kind: 'crashNode', node: 0, waitMs: 10 },
      { kind: 'login', user: 1, count: 4, waitMs: 300 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
      { kind: 'crashBroker', lost: 1, downMs: 10, forgetsIds: false, waitMs: 300 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 10 },
    ],
  },
  /** Its owner came between a loss and its repair, with nothing before it that would have shown the hole. */
  'a first event that its node takes for a repetition': {
    seed: 1828999256,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'revoke', client: 0, isEverywhere: false, waitMs: 1 },
      { kind: 'crashNode', node: 0, waitMs: 13 },
      { kind: 'login', user: 1, count: 2, waitMs: 3 },
      { kind: 'crashBroker', lost: 2, downMs: 284, forgetsIds: false, waitMs: 0 },
      { kind: 'revoke', client: 0, isEverywhere: false, waitMs: 300 },
      { kind: 'cutNode', node: 0, downMs: 0, waitMs: 0 },
    ],
  },
  /**
   * A client had a broadcast that its node had not read, the broker gave it another place, and the newest for everybody was
   * no event. Its cursor was said to be of no log, though nothing spoke against it.
   */
  'ahead of a node, at a place that was given to another event': {
    seed: 52,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'lag', node: 0, ms: 1_500, waitMs: 0 },
      { kind: 'news', count: 2, waitMs: 10 },
      { kind: 'login', user: 1, count: 1, waitMs: 0 },
      { kind: 'crashBroker', lost: 1, downMs: 218, forgetsIds: false, waitMs: 0 },
      { kind: 'garbageNews', count: 1, waitMs: 99 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 142 },
    ],
  },
  /** What a node had not read was dropped for its age before the stream was made anew: the observer knew of losses only. */
  'dropped for its age, and then the stream was made anew': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'login', user: 2, count: 1, waitMs: 10 },
      { kind: 'login', user: 2, count: 1, waitMs: 0 },
      { kind: 'cutNode', node: 1, downMs: 0, waitMs: 10 },
      { kind: 'evict', count: 2, waitMs: 10 },
      { kind: 'recreate', areTold: false, waitMs: 10 },
    ],
  },
  /**
   * A node whose consumer had a message twice opened another; between the proof of its place and the new consumer the
   * stream was made anew, and it went on at that place of the other one. Sockets without a subprotocol, which cannot be
   * sent back, never heard of what stood before it.
   */
  'made anew between the proof of a place and the consumer that goes on there': {
    seed: 0,
    readsBatches: false,
    clockCostMs: 0,
    actions: [
      { kind: 'revoke', client: 0, isEverywhere: false, waitMs: 10 },
      { kind: 'login', user: 2, count: 1, waitMs: 10 },
      { kind: 'delivery', node: 0, fault: 'twice', waitMs: 0 },
      { kind: 'pass', waitMs: 5_000 },
      { kind: 'slowBroker', ms: 500, waitMs: 10 },
      { kind: 'login', user: 2, count: 3, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 129 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 11 },
      { kind: 'recreate', areTold: false, waitMs: 300 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 10 },
      { kind: 'crashBroker', lost: 0, downMs: 10, forgetsIds: false, waitMs: 0 },
      { kind: 'login', user: 1, count: 1, waitMs: 300 },
      { kind: 'comeBack', client: 0, cursor: 'last', waitMs: 0 },
    ],
  },
};
