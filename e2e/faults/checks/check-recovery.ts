import type { LedgerEntries } from '@infrasignal/testkit';
import { formatTime, type Violation } from './evidence.ts';

/** What a process costs, measured while it has nothing to do. */
export interface ProcessCost {
  /** Open descriptors. */
  readonly descriptors: number;
  /** Bytes in use after a garbage collection; of a process that has none, its resident memory. */
  readonly memoryBytes: number;
}

export interface ProcessHistory {
  readonly name: string;
  /** What it may use more than before, besides the share, in bytes. */
  readonly memorySlackBytes: number;
  readonly before: ProcessCost;
  readonly after: ProcessCost;
  /** What was done to it and how often, for instance `{ killed: 8, paused: 1 }`. */
  readonly faults: Readonly<Record<string, number>>;
  /** Ends that nobody ordered, for instance `code 1`. */
  readonly unexpectedEnds: readonly string[];
}

export interface RecoveryEvidence {
  /**
   * For each fault: milliseconds from its end until everything committed by then was marked and received, or, when
   * that was not in time, what was still missing.
   */
  readonly recoveries: readonly (number | string)[];
  /** How long that may take; {@link RECOVERY_LIMIT_MS} unless the scenario says why not. */
  readonly limitMs?: number;
  readonly processes: readonly ProcessHistory[];
}

/** I5: so long after the end of the fault everything is through. */
export const RECOVERY_LIMIT_MS = 5_000;

/** I5: memory and descriptors come back to within this of what they were. */
const GROWTH_LIMIT = 0.2;

/** A pool of ten database connections and the relay's two come and go with the load. */
const DESCRIPTORS_SLACK = 12;

/** Compiled code and caches that fill once; a leak of one object per kill, event or connection is more than this. */
export const SERVICE_MEMORY_SLACK_BYTES = 8 * 1024 * 1024;

/** A notify node keeps the newest events for those who come back: so many (RECENT_EVENTS_MAX), of so many bytes each. */
const RECENT_EVENTS_MAX = 20_000;
const RECENT_EVENT_BYTES = 1_600;

/** What a notify node keeps of a run with so many events, in bytes. It fills once, and is no leak. */
export function toRecentEventsBytes(events: number): number {
  return Math.min(events, RECENT_EVENTS_MAX) * RECENT_EVENT_BYTES;
}

/**
 * The broker keeps every message id for ten minutes and a block of the newest messages, and gives back to the system
 * what it has freed when it likes: its resident memory doubled in a run of 10,000 events. This finds a runaway only.
 */
export const BROKER_MEMORY_SLACK_BYTES = 64 * 1024 * 1024;

/** So many descriptors may be open after the run, with so many before it. */
export function toDescriptorsMax(before: number): number {
  return before * (1 + GROWTH_LIMIT) + DESCRIPTORS_SLACK;
}

/** I5: the system is as it was before. */
export function* checkRecovery(evidence: RecoveryEvidence): Generator<Violation> {
  const { recoveries, processes, limitMs = RECOVERY_LIMIT_MS } = evidence;
  if (recoveries.length === 0) yield { invariant: 'I5', text: 'the scenario never waited for the recovery' };
  for (const recovery of recoveries) {
    if (typeof recovery === 'number' && recovery <= limitMs) continue;
    const what = typeof recovery === 'number' ? `took ${Math.round(recovery)} ms` : `incomplete: ${recovery}`;
    yield { invariant: 'I5', text: `recovery within ${limitMs} ms: ${what}` };
  }
  for (const { name, before, after, unexpectedEnds, memorySlackBytes } of processes) {
    for (const end of unexpectedEnds) yield { invariant: 'I5', text: `${name} ended by itself (${end})` };
    if (after.descriptors > toDescriptorsMax(before.descriptors)) {
      yield { invariant: 'I5', text: `${name} has ${after.descriptors} descriptors open, before it had ${before.descriptors}` };
    }
    const memoryMax = before.memoryBytes * (1 + GROWTH_LIMIT) + memorySlackBytes;
    if (after.memoryBytes > memoryMax) {
      yield {
        invariant: 'I5',
        text: `${name} uses ${inMegabytes(after.memoryBytes)}, before it used ${inMegabytes(before.memoryBytes)}`,
      };
    }
  }
}

/** I5 where the fault was not in auth-service: registrations and logins go on as if nothing were the matter. */
export function* checkAllSucceeded({ operations }: Pick<LedgerEntries, 'operations'>): Generator<Violation> {
  for (const { kind, phoneNumber, startedAt, outcome, note } of operations) {
    if (outcome === 'ok') continue;
    yield { invariant: 'I5', text: `${kind} of ${phoneNumber} at ${formatTime(startedAt)}: ${outcome}, ${note}` };
  }
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
