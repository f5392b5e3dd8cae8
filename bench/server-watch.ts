import { cpus } from 'node:os';
import type { TestStack } from '@infrasignal/testkit';
import { GeneratorWatch, judgeGenerator, type GeneratorUsage } from './load/generator-watch.ts';
import {
  findParentPid,
  readCpuSeconds,
  readFamilyCpuSeconds,
  readFamilyMemoryMib,
  readMachineCpuSeconds,
  readMemoryMib,
} from './process-usage.ts';
import type { Table } from './table.ts';

/** A server whose use of the machine is watched. */
export interface WatchedServer {
  readonly name: string;
  readonly pid: number;
  /** True for PostgreSQL: its connections are processes of their own. */
  readonly hasChildren: boolean;
}

/** What a period cost. CPU seconds of each server come from the kernel, in steps of 10 ms. */
export interface Usage {
  readonly seconds: number;
  readonly cpuSeconds: ReadonlyMap<string, number>;
  readonly generator: GeneratorUsage;
  /** Spent by everything on this machine that is neither server nor generator. */
  readonly othersCpuSeconds: number;
}

/** The servers of a stack, PostgreSQL first. */
export async function listServers(stack: TestStack): Promise<WatchedServer[]> {
  const [backend] = await stack.database.query<{ pid: number }>('select pg_backend_pid() as pid');
  const postmaster = backend === undefined ? null : findParentPid(backend.pid);
  const toServers = (name: string, processes: readonly { pid: number }[]): WatchedServer[] =>
    processes.map(({ pid }, at) => ({
      name: processes.length === 1 ? name : `${name} ${at + 1}`,
      pid,
      hasChildren: false,
    }));
  return [
    ...(postmaster === null ? [] : [{ name: 'PostgreSQL', pid: postmaster, hasChildren: true }]),
    { name: 'nats-server', pid: stack.nats.pid, hasChildren: false },
    ...toServers('auth-service', stack.auths),
    ...toServers('notify-service', stack.notifies),
    ...toServers('gateway', stack.gateway === null ? [] : [stack.gateway]),
  ];
}

function readAll(servers: readonly WatchedServer[]): Map<string, number> {
  return new Map(
    servers.map(({ name, pid, hasChildren }) => [name, hasChildren ? readFamilyCpuSeconds(pid) : readCpuSeconds(pid)]),
  );
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}

/** Starts to watch. @returns ends the period and tells what it cost */
export function watchServers(servers: readonly WatchedServer[]): () => Usage {
  const machineBefore = readMachineCpuSeconds();
  const before = readAll(servers);
  const startedAt = performance.now();
  const generatorWatch = new GeneratorWatch();
  return () => {
    const generator = generatorWatch.stop();
    const seconds = (performance.now() - startedAt) / 1000;
    const after = readAll(servers);
    const cpuSeconds = new Map([...after].map(([name, value]) => [name, value - (before.get(name) ?? NaN)]));
    const ours = sum(cpuSeconds.values()) + generator.cpuSeconds;
    const machine = readMachineCpuSeconds() - machineBefore;
    return { seconds, cpuSeconds, generator, othersCpuSeconds: Math.max(0, machine - ours) };
  };
}

/** Who used the machine in one or several periods, and a note for each thing that makes the figures doubtful. */
export function describeUsage(
  servers: readonly WatchedServer[],
  usages: readonly Usage[],
): { table: Table; notes: string[] } {
  const seconds = sum(usages.map((usage) => usage.seconds));
  const row = (name: string, cpuSeconds: number, memoryMib: number | null) =>
    [name, cpuSeconds, cpuSeconds / seconds, memoryMib] as const;
  const others = sum(usages.map(({ othersCpuSeconds }) => othersCpuSeconds));
  const othersShare = others / seconds / cpus().length;
  const serverRows = servers.map(({ name, pid, hasChildren }) => {
    const cpuSeconds = sum(usages.map((usage) => usage.cpuSeconds.get(name) ?? NaN));
    return row(name, cpuSeconds, hasChildren ? readFamilyMemoryMib(pid) : readMemoryMib(pid));
  });
  const generatorCpuSeconds = sum(usages.map(({ generator }) => generator.cpuSeconds));
  return {
    table: {
      title: `Who used the machine in ${seconds.toFixed(1)} measured seconds`,
      columns: [
        { name: 'process' },
        { name: 'CPU s', digits: 2 },
        { name: 'cores', digits: 2 },
        { name: 'memory MiB', digits: 1 },
      ],
      rows: [
        ...serverRows,
        row('load generator', generatorCpuSeconds, readMemoryMib(process.pid)),
        row('everything else on this machine', others, null),
      ],
    },
    notes: [judgeGenerator(usages.map(({ generator }) => generator)), ...judgeOthers(othersShare)],
  };
}

/** A tenth of the machine at work for others moves a latency's tail visibly. */
const OTHERS_SHARE_MAX = 0.1;

function judgeOthers(share: number): string[] {
  if (!(share > OTHERS_SHARE_MAX)) return [];
  const percent = (share * 100).toFixed(0);
  return [`OTHER PROGRAMS TOOK ${percent} % OF THE MACHINE MEANWHILE: on a calm one the figures are better.`];
}
