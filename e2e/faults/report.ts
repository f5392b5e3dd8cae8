import type { Violation } from './checks/evidence.ts';
import type { FaultRunResult } from './fault-run.ts';

/** One line of the table at the end. */
export interface ReportRow {
  readonly id: string;
  readonly title: string;
  readonly isControl: boolean;
  readonly durationMs: number;
  /** Null: it broke off, or was not run at all. */
  readonly result: FaultRunResult | null;
  /** Why this machine cannot run it; null: it was run. */
  readonly obstacle: string | null;
  /** What is wrong; empty: as it should be. */
  readonly complaints: readonly string[];
}

/** More would only push the first ones, which tell most, off the screen. */
const VIOLATIONS_SHOWN_MAX = 20;

export function formatViolation({ invariant, text }: Violation): string {
  return `${invariant} ${text}`;
}

/** The violations as text, the first ones in full. */
export function formatViolations(violations: readonly Violation[]): string[] {
  const lines = violations.slice(0, VIOLATIONS_SHOWN_MAX).map(formatViolation);
  const more = violations.length - lines.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

/** Which symptoms of a negative control the checks did not show. */
export function findMissingSymptoms(violations: readonly Violation[], symptoms: readonly RegExp[]): string[] {
  const lines = violations.map(formatViolation);
  return symptoms.filter((symptom) => !lines.some((line) => symptom.test(line))).map(String);
}

const HEADINGS = [
  'scenario',
  'faults',
  'operations',
  'ok/fail/unknown',
  'events',
  'frames',
  'lost',
  'repeated',
  'foreign',
  'recovery',
  'took',
  'verdict',
];

/** For instance `8 × nats-server killed, 1 × nats-server paused`. */
export function formatFaults(faults: FaultRunResult['faults']): string {
  return Object.entries(faults)
    .map(([name, count]) => `${count} × ${name}`)
    .join(', ');
}

/** A table in Markdown, aligned for a terminal as well. */
function formatTable(rows: readonly ReportRow[]): string {
  const cells = [HEADINGS, ...rows.map(toCells)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const toLine = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const [head, ...body] = cells.map(toLine);
  return [head, rule, ...body].join('\n');
}

/** The table, and below it what was not run and why. */
export function formatReport(rows: readonly ReportRow[]): string {
  const skipped = rows.filter(({ obstacle }) => obstacle !== null);
  const reasons = skipped.map(({ id, title, obstacle }) => `* ${id} (${title}): ${obstacle}`);
  return [formatTable(rows), ...(reasons.length === 0 ? [] : [`Skipped on this machine:\n\n${reasons.join('\n')}`])].join('\n\n');
}

/** For instance `F1`, or `F1 (broken)`. */
export function nameRow({ id, isControl }: ReportRow): string {
  return isControl ? `${id} (broken)` : id;
}

function toCells(row: ReportRow): string[] {
  const { isControl, durationMs, result, obstacle, complaints } = row;
  const name = nameRow(row);
  const took = `${(durationMs / 1000).toFixed(0)} s`;
  if (result === null) {
    const verdict = obstacle === null ? 'BROKE OFF' : 'skipped';
    return [name, ...Array<string>(HEADINGS.length - 3).fill('–'), took, verdict];
  }
  const { counts, faults, recoveryMs } = result;
  const faultCount = Object.values(faults).reduce((sum, count) => sum + count, 0);
  const numbers = [faultCount, counts.operations].map(String);
  const outcomes = `${counts.ok}/${counts.failed}/${counts.unknown}`;
  const rest = [counts.events, counts.frames, counts.lost, counts.repeated, counts.foreign].map(String);
  const recovery = Number.isFinite(recoveryMs) ? `${Math.round(recoveryMs)} ms` : '–';
  const good = isControl ? 'noticed' : 'holds';
  const bad = isControl ? 'NOT NOTICED' : 'VIOLATED';
  return [name, ...numbers, outcomes, ...rest, recovery, took, complaints.length === 0 ? good : bad];
}
