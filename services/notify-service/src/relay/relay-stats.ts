import type { InvalidEventReason } from '@infrasignal/shared';
import type { EpochEnd } from './consumer-epoch.ts';

/** What happened between the broker and the hub, as plain counters. */
export interface RelayStats {
  /** Messages read from the stream, repeated ones included. */
  received: number;
  /** Valid events of a type, or of a version of it, that this release does not know. */
  unknownEvents: number;
  invalidEvents: Map<InvalidEventReason, number>;
  /** Consumers given up, by why. */
  epochEnds: Map<EpochEnd, number>;
  /** Times the log turned out not to be the one that was read before. */
  recoveries: number;
  /** Times positions were missing from the log. */
  losses: number;
}

export function createRelayStats(): RelayStats {
  return {
    received: 0,
    unknownEvents: 0,
    invalidEvents: new Map(),
    epochEnds: new Map(),
    recoveries: 0,
    losses: 0,
  };
}
