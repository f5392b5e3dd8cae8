/** What was asked of the broker by a message of its own, beside the consumer. */
export type BrokerRead = 'at' | 'newest' | 'next' | 'batch' | 'state';

/** How joins, resumes and pages of the history got what they needed, as plain counters. */
export interface ReadStats {
  /** Requests that went to the broker. */
  brokerReads: Map<BrokerRead, number>;
  /** Reads that were the same as one already under way, and took its answer. */
  merged: number;
  /** Joins that memory answered alone, and joins that had to ask the broker. */
  joinsFromMemory: number;
  joinsFromBroker: number;
  /** Messages and stretches of the log that were looked for among the recent ones: found, and not. */
  recentHits: number;
  recentMisses: number;
  /** Reads that were given up before they were asked, because too many waited or one waited too long. */
  refused: number;
}

export function createReadStats(): ReadStats {
  return {
    brokerReads: new Map(),
    merged: 0,
    joinsFromMemory: 0,
    joinsFromBroker: 0,
    recentHits: 0,
    recentMisses: 0,
    refused: 0,
  };
}
