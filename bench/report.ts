import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import type { Conditions } from './conditions.ts';
import type { BenchResult, Headline } from './scenario.ts';
import { formatTable, toRecords } from './table.ts';

/** One run of one scenario, as it is written to JSON. */
export interface Report extends BenchResult {
  readonly scenario: string;
  readonly conditions: Conditions;
}

/** The whole of it for people: conditions, tables, notes, problems. */
export function formatReport({ conditions, headlines = [], tables, notes, problems }: Report): string {
  const width = Math.max(...Object.keys(conditions).map(({ length }) => length));
  return [
    Object.entries(conditions)
      .map(([key, value]) => `  ${key.padEnd(width)}  ${value}`)
      .join('\n'),
    ...tables.map(formatTable),
    ...headlines.map(formatHeadline),
    ...notes,
    ...problems.map((problem) => `WRONG: ${problem}`),
  ].join('\n\n');
}

function formatHeadline({ row, figure, value, unit, target, better }: Headline): string {
  const isReached = better === 'higher' ? value >= target : value <= target;
  const suffix = unit === 'ratio' ? '' : ` ${unit}`;
  const limit = `${better === 'higher' ? 'at least' : 'at most'} ${target}${suffix}`;
  return `${row}. ${figure}: ${value.toPrecision(3)}${suffix} (to reach: ${limit}; ${isReached ? 'reached' : 'NOT REACHED'})`;
}

function toJson(reports: Report | readonly Report[]): string {
  const convert = ({ tables, ...rest }: Report): object => ({
    ...rest,
    tables: tables.map((table) => ({ title: table.title, rows: toRecords(table) })),
  });
  const value = Array.isArray(reports) ? (reports as readonly Report[]).map(convert) : convert(reports as Report);
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** @returns the path of the new file in bench/results/ */
export function writeReport(report: Report): string {
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return write(join(PROJECT_ROOT, 'bench/results', `${report.scenario}-${time}.json`), toJson(report));
}

/** @returns the path of the file in docs/performance/, in the place of what the same scenario published before */
export function publishReport(report: Report): string {
  return write(join(PROJECT_ROOT, 'docs/performance', `${report.scenario}.json`), toJson(report));
}

/** @param path from the working directory */
export function writeReports(path: string, reports: readonly Report[]): string {
  return write(resolve(path), toJson(reports));
}

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
