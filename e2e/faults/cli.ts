/** `npm run faults`: the fault scenarios at full length, for whoever does not believe it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { Teardowns } from '@infrasignal/testkit';
import { chooseSeed, createRandom } from './random.ts';
import { findMissingSymptoms, formatFaults, formatReport, formatViolations, nameRow, type ReportRow } from './report.ts';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';

const KILLS_DEFAULT = 100;

/** The clients' access tokens live 15 minutes, and nobody logs in again in between: about 3 s a kill at the most. */
const KILLS_MAX = 250;

/** That of production; with more, the clients' access tokens would not outlive F4. */
const WINDOW_SECONDS_MAX = 600;

const HELP = `Usage: npm run faults -- [scenario …] [--kills N] [--seed S] [--window W] [--no-controls]

Runs the whole system as real processes, breaks it while it is under load, and judges by a ledger kept outside.

${scenarios.map(({ id, title }) => `  ${id.padEnd(12)} ${title}`).join('\n')}

  --kills N       how often a process is killed at random (default ${KILLS_DEFAULT}, at most ${KILLS_MAX})
  --seed S        repeats the random choices of an earlier run (also FAULT_SEED=S)
  --window W      F4: for how many seconds the broker recognises repeats (default 60; in production ${WINDOW_SECONDS_MAX}, which
                  is also the most)
  --no-controls   leaves out the runs with a part broken on purpose, which the checks have to notice
  --help          this text

A scenario that is not named is not run; without names all are. "F1" also stands for "F1-…".
The report, and the ledger of every run that failed, are written to e2e/reports/.
What this machine cannot run is reported as skipped, with the reason.
Exit code: 0 everything that was run holds and every broken part was noticed, 1 not so, 2 wrong usage.`;

interface Settings {
  readonly chosen: readonly Scenario[];
  readonly kills: number;
  readonly seed: number;
  readonly windowSeconds: number | undefined;
  readonly hasControls: boolean;
  readonly directory: string;
}

class UsageError extends Error {}

function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function readSettings(args: readonly string[]): Settings | null {
  const { values, positionals } = parseArguments(args);
  if (values.help === true) return null;
  const kills = Number(values.kills ?? KILLS_DEFAULT);
  if (!Number.isInteger(kills) || kills < 1 || kills > KILLS_MAX) {
    throw new UsageError(`--kills must be a whole number from 1 to ${KILLS_MAX}`);
  }
  if (values.seed !== undefined && !/^\d{1,10}$/.test(values.seed)) throw new UsageError('--seed must be a whole number');
  const chosen = positionals.length === 0 ? scenarios : positionals.flatMap(findScenarios);
  return {
    chosen: [...new Set(chosen)],
    kills,
    seed: chooseSeed(values.seed ?? process.env.FAULT_SEED),
    windowSeconds: readWindow(values.window),
    hasControls: values['no-controls'] !== true,
    directory: join(PROJECT_ROOT, 'e2e/reports', new Date().toISOString().replaceAll(/[:.]/g, '-')),
  };
}

function readWindow(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > WINDOW_SECONDS_MAX) {
    throw new UsageError(`--window must be a whole number of seconds from 1 to ${WINDOW_SECONDS_MAX}`);
  }
  return seconds;
}

function parseArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        kills: { type: 'string' },
        seed: { type: 'string' },
        window: { type: 'string' },
        'no-controls': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function findScenarios(name: string): Scenario[] {
  const wanted = name.toLowerCase();
  const found = scenarios.filter(({ id }) => id.toLowerCase() === wanted || id.toLowerCase().startsWith(`${wanted}-`));
  if (found.length === 0) throw new UsageError(`there is no scenario ${name}; --help lists them`);
  return found;
}

async function runOne(scenario: Scenario, isControl: boolean, settings: Settings): Promise<ReportRow> {
  const { id, control } = scenario;
  const title = isControl ? control.title : scenario.title;
  const startedAt = performance.now();
  const teardowns = new Teardowns();
  const progress = (line: string): void => {
    print(`  ${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  };
  print(`\n${id}${isControl ? ' with a part broken on purpose' : ''}: ${title}`);
  const { seed, kills, windowSeconds } = settings;
  const context = { t: teardowns, random: createRandom(seed), kills, windowSeconds, isFull: true, progress };
  const finish = (result: ReportRow['result'], complaints: readonly string[]): ReportRow => {
    return { id, title, isControl, durationMs: performance.now() - startedAt, result, obstacle: null, complaints };
  };
  activeTeardowns = teardowns;
  try {
    const result = await (isControl ? control : scenario).run(context);
    progress(`faults injected: ${formatFaults(result.faults)}`);
    for (const figure of result.figures) progress(figure);
    const missing = findMissingSymptoms(result.violations, control.symptoms).map((symptom) => `not noticed: ${symptom}`);
    const complaints = isControl ? missing : formatViolations(result.violations);
    if (complaints.length > 0) {
      mkdirSync(settings.directory, { recursive: true });
      result.ledger.writeTo(join(settings.directory, `${id}${isControl ? '-broken' : ''}.ledger.jsonl`));
    }
    return finish(result, complaints);
  } catch (error) {
    return finish(null, [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
  } finally {
    activeTeardowns = null;
    await tidyUp(teardowns);
  }
}

/** What could not be ended is said, and costs the scenarios after it nothing: they start their own. */
async function tidyUp(teardowns: Teardowns): Promise<void> {
  try {
    await teardowns.run();
  } catch (error) {
    print(`  could not tidy up: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function toSkippedRow({ id, title }: Scenario, obstacle: string): ReportRow {
  print(`\n${id}: ${title}\n  skipped: ${obstacle}`);
  return { id, title, isControl: false, durationMs: 0, result: null, obstacle, complaints: [] };
}

let activeTeardowns: Teardowns | null = null;

function endOnSignals(): void {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    process.on(signal, () => {
      print(`\n${signal}: ending every process …`);
      void (activeTeardowns?.run() ?? Promise.resolve()).finally(() => process.exit(code));
    });
  }
}

function writeReport(rows: readonly ReportRow[], { seed, kills, directory }: Settings): void {
  mkdirSync(directory, { recursive: true });
  const entries = rows.map(({ result, ...row }) => {
    if (result === null) return row;
    const { ledger: _ledger, ...summary } = result;
    return { ...row, ...summary };
  });
  writeFileSync(join(directory, 'report.json'), `${JSON.stringify({ seed, kills, rows: entries }, null, 2)}\n`);
  const faults = rows.flatMap((row) => (row.result === null ? [] : [`* ${nameRow(row)}: ${formatFaults(row.result.faults)}`]));
  const text = `Seed ${seed}, ${kills} kills.\n\n${formatReport(rows)}\n\nFaults injected:\n\n${faults.join('\n')}\n`;
  writeFileSync(join(directory, 'report.md'), text);
}

async function main(): Promise<number> {
  const settings = readSettings(process.argv.slice(2));
  if (settings === null) {
    print(HELP);
    return 0;
  }
  endOnSignals();
  print(`seed ${settings.seed} (repeat with --seed ${settings.seed})`);
  const rows: ReportRow[] = [];
  for (const scenario of settings.chosen) {
    const obstacle = (await scenario.findObstacle?.()) ?? null;
    if (obstacle !== null) {
      rows.push(toSkippedRow(scenario, obstacle));
      continue;
    }
    for (const isControl of settings.hasControls ? [false, true] : [false]) {
      const row = await runOne(scenario, isControl, settings);
      for (const complaint of row.complaints) print(`  ${complaint}`);
      rows.push(row);
    }
  }
  writeReport(rows, settings);
  print(`\n${formatReport(rows)}\n\nseed ${settings.seed}; report in ${settings.directory}`);
  return rows.every(({ complaints }) => complaints.length === 0) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
