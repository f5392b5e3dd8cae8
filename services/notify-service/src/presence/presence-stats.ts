/** What presence did on this node, as plain numbers. */
export interface PresenceStats {
  /** Changes that this node announced, as the keeper. */
  announced: number;
  /** Times this node became the keeper. */
  keeperTerms: number;
  leasesSent: number;
  /** Messages among the leases that are none. */
  leasesUnreadable: number;
  /** Frames to sockets that hear of presence. */
  delivered: number;
}

export function createPresenceStats(): PresenceStats {
  return { announced: 0, keeperTerms: 0, leasesSent: 0, leasesUnreadable: 0, delivered: 0 };
}
