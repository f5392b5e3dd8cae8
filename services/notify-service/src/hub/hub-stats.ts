/** What happened in the hub, as plain counters: whoever exports metrics reads them, nothing in here knows how. */
export interface HubStats {
  /** Connections opened since the start. */
  opened: number;
  /** Frames of events handed to sockets' queues; replayed ones count in `replayed`. */
  delivered: number;
  /** Frames of events that a resume brought. */
  replayed: number;
  /** Writes to sockets; fewer than frames, because what is due together is written together. */
  writes: number;
  framesWritten: number;
  bytesWritten: number;
  /** Events that had passed through this node before. */
  repeatedEvents: number;
  /** Deliveries left out because the socket already had that `seq`. */
  repeatedDeliveries: number;
  /** Deliveries left out because the event has no form that clients of this kind know. */
  untoldDeliveries: number;
  /** Closed connections by code, ours where we closed, else the peer's. */
  closesByCode: Map<number, number>;
}

export function createHubStats(): HubStats {
  return {
    opened: 0,
    delivered: 0,
    replayed: 0,
    writes: 0,
    framesWritten: 0,
    bytesWritten: 0,
    repeatedEvents: 0,
    repeatedDeliveries: 0,
    untoldDeliveries: 0,
    closesByCode: new Map(),
  };
}

/** Adds one, or what `by` says, to a counter that is one of many. */
export function increment<Key>(counters: Map<Key, number>, key: Key, by = 1): void {
  counters.set(key, (counters.get(key) ?? 0) + by);
}
