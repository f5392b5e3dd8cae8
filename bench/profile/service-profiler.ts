import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { waitFor, type ServiceProcess } from '@infrasignal/testkit';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Table } from '../table.ts';
import { sumPackageTimes, sumSelfTimes, type CpuProfile, type SelfTime } from './self-times.ts';

/** So many are named; what comes after them is worth nobody's hour. */
const NAMED_FUNCTIONS = 25;
const NAMED_PACKAGES = 15;

/** Writing down the profile of a long round takes a while on a busy machine. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Takes CPU profiles of a service while it is measured. Each start and stop is one profile in its directory. */
export class ServiceProfiler {
  /** Kept after the run: the profiles can be opened in a browser's developer tools. */
  readonly directory: string;
  readonly #paths: string[] = [];
  #service: ServiceProcess | null = null;

  constructor() {
    const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
    this.directory = join(PROJECT_ROOT, 'bench/results', `profile-${time}`);
    mkdirSync(this.directory, { recursive: true });
  }

  /** What the service has to be started with. */
  get environment(): Record<string, string> {
    const preload = new URL('profiler-preload.mjs', import.meta.url).href;
    return { NODE_OPTIONS: `--import=${preload}`, BENCH_PROFILE_DIRECTORY: this.directory };
  }

  async start(service: ServiceProcess): Promise<void> {
    this.#service = service;
    const path = join(this.directory, `${service.pid}-${this.#paths.length + 1}`);
    this.#paths.push(path);
    await this.#signal(`${path}.started`);
    rmSync(`${path}.started`);
  }

  async stop(): Promise<void> {
    await this.#signal(`${this.#paths.at(-1) ?? ''}.cpuprofile`);
  }

  /** Where the time went, by package and by function. */
  tabulate(): Table[] {
    const profiles = this.#paths.map((path) => JSON.parse(readFileSync(`${path}.cpuprofile`, 'utf8')) as CpuProfile);
    return [
      tabulateTimes('Packages of the service by self time, what they call in Node included', 'package', {
        times: sumPackageTimes(profiles),
        count: NAMED_PACKAGES,
      }),
      tabulateTimes(`Functions of the service by self time (profiles in ${this.directory})`, 'function', {
        times: sumSelfTimes(profiles),
        count: NAMED_FUNCTIONS,
      }),
    ];
  }

  /** The service answers a signal with a file. */
  async #signal(expectedPath: string): Promise<void> {
    await this.#service?.kill('SIGUSR2');
    await waitFor(() => existsSync(expectedPath), { timeoutMs: ANSWER_TIMEOUT_MS, description: expectedPath });
  }
}

function tabulateTimes(title: string, what: string, { times, count }: { times: SelfTime[]; count: number }): Table {
  const busy = times.filter(({ name }) => name !== '(idle)');
  const busyMs = busy.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return {
    title,
    columns: [{ name: what }, { name: 'ms' }, { name: '% of busy time', digits: 1 }],
    rows: busy.slice(0, count).map(({ name, milliseconds }) => [name, milliseconds, (milliseconds / busyMs) * 100]),
  };
}
