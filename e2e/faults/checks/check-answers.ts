/** I5 for those who ask while something is broken: an answer, in time, whatever it is. */
import type { LedgerEntries, Operation } from '@infrasignal/testkit';
import { formatTime, type Violation } from './evidence.ts';

/** From when to when, in milliseconds since 1970. */
export type Period = readonly [from: number, to: number];

export interface AnswersExpected {
  /** The longest that a request may take. */
  readonly limitMs: number;
  /** While the way between the clients and the service was broken: then there may be no answer. */
  readonly excused?: readonly Period[];
}

/** Every request was carried out or refused with 503, and none was kept waiting for longer than the service's limits. */
export function* checkAnswers(
  { operations }: Pick<LedgerEntries, 'operations'>,
  { limitMs, excused = [] }: AnswersExpected,
): Generator<Violation> {
  for (const operation of operations) {
    const { kind, phoneNumber, startedAt, outcome, note } = operation;
    const endedAt = operation.endedAt ?? Infinity;
    if (excused.some(([from, to]) => startedAt <= to && endedAt >= from)) continue;
    const which = `${kind} of ${phoneNumber} at ${formatTime(startedAt)}`;
    if (endedAt - startedAt > limitMs) {
      yield { invariant: 'I5', text: `${which} took ${Math.round(endedAt - startedAt)} ms: ${note}` };
    }
    if (outcome !== 'ok' && !note.startsWith('503')) yield { invariant: 'I5', text: `${which}: ${outcome}, ${note}` };
  }
}

/** How many were refused, and the longest that any took, for the figures. */
export function describeAnswers(operations: readonly Operation[]): string {
  const refused = operations.filter(({ note }) => note.startsWith('503')).length;
  const longestMs = Math.max(0, ...operations.map(({ startedAt, endedAt }) => (endedAt ?? startedAt) - startedAt));
  return `${refused} of ${operations.length} requests were answered 503; the slowest answer took ${Math.round(longestMs)} ms`;
}
