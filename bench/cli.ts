/** `npm run bench`: figures, with the conditions they were taken under. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findNatsBinary, PROJECT_ROOT } from '@infrasignal/local-stack';
import { Teardowns } from '@infrasignal/testkit';
import { readMachineConditions } from './conditions.ts';
import type { BenchOptions, BenchResult, BenchScenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';
import { summarise } from './statistics.ts';

const HELP = `Usage: npm run bench -- <scenario> [options]

${scenarios.map(({ name, title }) => `  ${name.padEnd(18)} ${title}`).join('\n')}

  --seconds N         how long is measured (default 30)
  --rate N            logins a second (default 50)
  --sockets N         authenticated sockets, one per user (default 100)
  --hashes cheap      password hashes that cost next to nothing (default: as in production)
  --through-gateway   the clients speak to the gateway instead of the services
  --help              this text

Everything runs as real processes on this machine. The figures are printed as a table and written as JSON to
bench/results/. They say what this machine did, and nothing is asserted about them.`;

class UsageError extends Error {}

function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '30' },
        rate: { type: 'string', default: '50' },
        sockets: { type: 'string', default: '100' },
        hashes: { type: 'string', default: 'production' },
        'through-gateway': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

function toNumber(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new UsageError(`--${name} must be a whole number from 1 to ${max}`);
}

function toOptions(values: ReturnType<typeof readArguments>['values']): BenchOptions {
  const { hashes } = values;
  if (hashes !== 'production' && hashes !== 'cheap') throw new UsageError('--hashes must be production or cheap');
  return {
    seconds: toNumber('seconds', values.seconds, 600),
    ratePerSecond: toNumber('rate', values.rate, 10_000),
    sockets: toNumber('sockets', values.sockets, 10_000),
    hashes,
    isThroughGateway: values['through-gateway'],
  };
}

async function measure(scenario: BenchScenario, options: BenchOptions): Promise<BenchResult> {
  const t = new Teardowns();
  let isEnding = false;
  const endOnSignal = (): void => {
    isEnding = true;
    void t.run().finally(() => process.exit(130));
  };
  process.once('SIGINT', endOnSignal);
  process.once('SIGTERM', endOnSignal);
  try {
    return await scenario.run({ t, options, progress: (line) => print(`  ${line}`) });
  } finally {
    if (!isEnding) await t.run();
    process.off('SIGINT', endOnSignal);
    process.off('SIGTERM', endOnSignal);
  }
}

function report({ name }: BenchScenario, { measurements, conditions }: BenchResult): void {
  const rows = measurements.map((measurement) => ({ name: measurement.name, ...summarise(measurement.samples) }));
  print();
  for (const [key, value] of Object.entries(conditions)) print(`  ${key.padEnd(20)} ${value}`);
  print('\n| in ms | p50 | p90 | p99 | max | samples |\n|---|---|---|---|---|---|');
  for (const { name: what, p50, p90, p99, max, count } of rows) {
    print(`| ${what} | ${[p50, p90, p99, max].map((value) => value.toFixed(1)).join(' | ')} | ${count} |`);
  }
  const directory = join(PROJECT_ROOT, 'bench/results');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${name}-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.json`);
  writeFileSync(path, `${JSON.stringify({ scenario: name, conditions, unit: 'ms', rows }, null, 2)}\n`);
  print(`\nwritten to ${path}`);
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments(process.argv.slice(2));
  if (values.help) {
    print(HELP);
    return;
  }
  const scenario = scenarios.find(({ name }) => name === positionals[0]);
  if (scenario === undefined || positionals.length > 1) throw new UsageError(`Which scenario?\n\n${HELP}`);
  const options = toOptions(values);
  const machine = readMachineConditions();
  print(`${scenario.name}: ${scenario.title}`);
  const result = await measure(scenario, options);
  const nats = (await findNatsBinary()).version;
  report(scenario, { ...result, conditions: { ...machine, nats_server: nats, ...result.conditions } });
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
