/** `npm run bench`: figures, with the conditions they were taken under. */
import { HELP, readCommandLine, UsageError, type BenchCommand } from './command-line.ts';
import { readLoadAverage, readMachineConditions } from './conditions.ts';
import { formatReport, publishReport, writeReport, writeReports, type Report } from './report.ts';
import { InterruptedError, runScenario } from './run-scenario.ts';
import type { BenchOptions, BenchScenario } from './scenario.ts';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function measure(scenario: BenchScenario, options: BenchOptions): Promise<Report> {
  const startedAt = performance.now();
  const progress = (line: string): void => {
    print(`  ${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  };
  print(`\n${scenario.name}: ${scenario.description}\n`);
  const machine = await readMachineConditions();
  const result = await runScenario(scenario, options, progress);
  const duration = Number(((performance.now() - startedAt) / 1000).toFixed(1));
  const after = { load_average_after: readLoadAverage(), whole_run_seconds: duration };
  return { scenario: scenario.name, ...result, conditions: { ...machine, ...result.conditions, ...after } };
}

async function runAll({ chosen, options, jsonPath, isPublished }: BenchCommand): Promise<Report[]> {
  const reports: Report[] = [];
  for (const scenario of chosen) {
    const report = await measure(scenario, options);
    reports.push(report);
    print(`\n${formatReport(report)}\n\nwritten to ${writeReport(report)}`);
    if (isPublished) print(`and to ${publishReport(report)}`);
  }
  if (jsonPath !== undefined) print(`written to ${writeReports(jsonPath, reports)}`);
  return reports;
}

try {
  const command = readCommandLine(process.argv.slice(2));
  if (command === null) {
    print(HELP);
  } else {
    const reports = await runAll(command);
    if (reports.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
  }
} catch (error) {
  if (error instanceof InterruptedError) process.exit(130);
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
