/** A CPU profile as V8 writes it, reduced to what is read here. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** The node that was running, once per sample. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

export interface SelfTime {
  /** Name and place, for instance `handler (services/auth-service/src/app.ts:12)`. */
  readonly name: string;
  readonly milliseconds: number;
}

/** How long each function was running itself, without what it called, the longest first; `(idle)` is among them. */
export function sumSelfTimes(profiles: readonly CpuProfile[]): SelfTime[] {
  const microseconds = new Map<string, number>();
  for (const { nodes, samples, timeDeltas } of profiles) {
    const names = new Map(nodes.map(({ id, callFrame }) => [id, describeFrame(callFrame)]));
    for (const [at, id] of samples.entries()) {
      const name = names.get(id) ?? '(unknown)';
      // The time after a sample belongs to it: the next one's delta.
      microseconds.set(name, (microseconds.get(name) ?? 0) + (timeDeltas[at + 1] ?? 0));
    }
  }
  const selfTimes = [...microseconds].map(([name, sum]) => ({ name, milliseconds: sum / 1000 }));
  return selfTimes.sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Paths from where a reader knows them: the package of a dependency, the root of the repository for our own. */
function describeFrame({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return functionName === '' ? '(anonymous native)' : functionName;
  const path = url.replace(/^.*\/node_modules\/(?!\.pnpm)/, '').replace(/^.*\/(?=(?:services|packages|bench)\/)/, '');
  return `${functionName === '' ? '(anonymous)' : functionName} (${path}:${lineNumber + 1})`;
}
