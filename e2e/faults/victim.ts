import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identifyProcess, isSameProcessAlive, waitFor, type ProcessIdentity } from '@infrasignal/local-stack';
import {
  BROKER_MEMORY_SLACK_BYTES,
  SERVICE_MEMORY_SLACK_BYTES,
  type ProcessCost,
  type ProcessHistory,
} from './checks/check-recovery.ts';

/** A service or a broker, as far as it can be killed. */
export interface Killable {
  readonly pid: number;
  kill(signal?: NodeJS.Signals): Promise<void>;
  restart(): Promise<void>;
}

/** Half a second without a change. */
const SETTLED_SAMPLES = 5;
const SAMPLE_INTERVAL_MS = 100;
const SETTLE_TIMEOUT_MS = 5_000;

/** A process of the system under test: killed and started by the scenario, and by nobody else. */
export class Victim {
  readonly name: string;
  readonly #process: Killable;
  readonly #probeDirectory: string | null;
  readonly #unexpectedEnds: string[] = [];
  #identity: ProcessIdentity | null;
  #kills = 0;
  #before: ProcessCost | null = null;
  isUp = true;

  /** @param probeDirectory where process-probe.mjs, if it is loaded, writes its answers; null: it is not loaded */
  constructor(name: string, process: Killable, probeDirectory: string | null) {
    this.name = name;
    this.#process = process;
    this.#probeDirectory = probeDirectory;
    this.#identity = identifyProcess(process.pid);
  }

  get kills(): number {
    return this.#kills;
  }

  async kill(): Promise<void> {
    this.#noteUnexpectedEnd();
    this.isUp = false;
    this.#kills += 1;
    await this.#process.kill('SIGKILL');
  }

  /** Starts it again and waits until it is ready. */
  async start(): Promise<void> {
    await this.#process.restart();
    this.#identity = identifyProcess(this.#process.pid);
    this.isUp = true;
  }

  /** What the rest is compared with. */
  async measureBefore(): Promise<void> {
    this.#before = await this.#measure();
  }

  async toHistory(): Promise<ProcessHistory> {
    this.#noteUnexpectedEnd();
    const before = this.#before ?? { descriptors: 0, memoryBytes: 0 };
    const after = this.#unexpectedEnds.length > 0 ? before : await this.#measure();
    return {
      name: this.name,
      kills: this.#kills,
      unexpectedEnds: this.#unexpectedEnds,
      memorySlackBytes: this.#probeDirectory === null ? BROKER_MEMORY_SLACK_BYTES : SERVICE_MEMORY_SLACK_BYTES,
      before,
      after,
    };
  }

  /** Nobody but the scenario ends or starts it: a process that is gone, or is another one, ended by itself. */
  #noteUnexpectedEnd(): void {
    if (!this.isUp) return;
    if (this.#identity !== null && isSameProcessAlive(this.#identity)) return;
    this.#unexpectedEnds.push(`process ${this.#identity?.pid ?? 0} is gone after ${this.#kills} kills`);
  }

  async #measure(): Promise<ProcessCost> {
    const { pid } = this.#process;
    const descriptors = await countDescriptors(pid);
    if (this.#probeDirectory === null) return { descriptors, memoryBytes: readResidentBytes(pid) };
    const path = join(this.#probeDirectory, String(pid));
    rmSync(path, { force: true });
    await this.#process.kill('SIGUSR2');
    const memoryBytes = await waitFor(() => Number(readFileSync(path, 'utf8')), {
      description: `${this.name} to say how much memory it uses`,
    });
    return { descriptors, memoryBytes };
  }
}

/** Connections that were just closed go when the process gets to it: the count once it does not change any more. */
async function countDescriptors(pid: number): Promise<number> {
  const counts: number[] = [];
  const isSettled = (): boolean => {
    counts.push(readdirSync(`/proc/${pid}/fd`).length);
    const last = counts.slice(-SETTLED_SAMPLES);
    return last.length === SETTLED_SAMPLES && new Set(last).size === 1;
  };
  await waitFor(isSettled, { intervalMs: SAMPLE_INTERVAL_MS, timeoutMs: SETTLE_TIMEOUT_MS }).catch(() => undefined);
  return counts.at(-1) ?? 0;
}

/** Several instances of a service as one: their clients move from one to another, and with them what they cost. */
export function sumHistories(name: string, histories: readonly ProcessHistory[]): ProcessHistory {
  const sum = (costs: readonly ProcessCost[]): ProcessCost => ({
    descriptors: costs.reduce((total, { descriptors }) => total + descriptors, 0),
    memoryBytes: costs.reduce((total, { memoryBytes }) => total + memoryBytes, 0),
  });
  return {
    name,
    before: sum(histories.map(({ before }) => before)),
    after: sum(histories.map(({ after }) => after)),
    kills: histories.reduce((total, { kills }) => total + kills, 0),
    memorySlackBytes: histories.reduce((total, { memorySlackBytes }) => total + memorySlackBytes, 0),
    unexpectedEnds: histories.flatMap((history) => history.unexpectedEnds.map((end) => `${history.name}: ${end}`)),
  };
}

function readResidentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/** The most that a process ever used, in MiB. */
export function readPeakMib(pid: number): number {
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024);
}
