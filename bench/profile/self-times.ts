/** A CPU profile as V8 writes it, reduced to what is read here. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** The node that was running, once per sample. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  /** The nodes that it called. */
  readonly children?: readonly number[];
}

export interface SelfTime {
  readonly name: string;
  readonly milliseconds: number;
}

/** Of one function on one way to it. */
interface NodeTime {
  /** The function first, then who called it, up to the root. */
  readonly stack: readonly ProfileNode[];
  readonly microseconds: number;
}

function listNodeTimes({ nodes, samples, timeDeltas }: CpuProfile): NodeTime[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callers = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const microseconds = new Map<number, number>();
  for (const [at, id] of samples.entries()) {
    // The time after a sample belongs to it: the next one's delta.
    microseconds.set(id, (microseconds.get(id) ?? 0) + (timeDeltas[at + 1] ?? 0));
  }
  return [...microseconds].map(([id, sum]) => {
    const stack: ProfileNode[] = [];
    for (let node = byId.get(id); node !== undefined; node = callers.get(node.id)) stack.push(node);
    return { stack, microseconds: sum };
  });
}

function sumBy(profiles: readonly CpuProfile[], toName: (stack: readonly ProfileNode[]) => string): SelfTime[] {
  const sums = new Map<string, number>();
  for (const { stack, microseconds } of profiles.flatMap(listNodeTimes)) {
    const name = toName(stack);
    sums.set(name, (sums.get(name) ?? 0) + microseconds);
  }
  const selfTimes = [...sums].map(([name, sum]) => ({ name, milliseconds: sum / 1000 }));
  return selfTimes.sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Of `(idle)`, `(garbage collector)` and the like, and of native functions, V8 knows no file. */
const isNative = ({ callFrame }: ProfileNode): boolean => callFrame.url === '';
const isNodes = ({ callFrame }: ProfileNode): boolean => callFrame.url.startsWith('node:');

/**
 * How long each function was running itself, without what it called, the longest first; `(idle)` is among them. What
 * belongs to Node is told apart by the first function of a package that called it: a write can be anybody's.
 */
export function sumSelfTimes(profiles: readonly CpuProfile[]): SelfTime[] {
  return sumBy(profiles, (stack) => {
    const [first] = stack;
    if (first === undefined) return '(unknown)';
    const caller = stack.find((node) => !isNative(node) && !isNodes(node));
    const name = describeFrame(first);
    return caller === undefined || caller === first ? name : `${name} ← ${describeFrame(caller)}`;
  });
}

/** The same by package, or file of ours; what Node does is charged to the package that called it. */
export function sumPackageTimes(profiles: readonly CpuProfile[]): SelfTime[] {
  return sumBy(profiles, (stack) => {
    const owner = stack.find((node) => !isNative(node) && !isNodes(node)) ?? stack.find((node) => !isNative(node));
    if (owner === undefined) return stack[0]?.callFrame.functionName ?? '(unknown)';
    const { url } = owner.callFrame;
    const path = shortenUrl(url);
    return url.includes('/node_modules/') ? (/^(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path) : path;
  });
}

function describeFrame({ callFrame }: ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame;
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} (${shortenUrl(url)}:${lineNumber + 1})`;
}

/** Paths from where a reader knows them: the package of a dependency, the root of the repository for our own. */
function shortenUrl(url: string): string {
  return url.replace(/^.*\/node_modules\/(?!\.pnpm)/, '').replace(/^.*\/(?=(?:services|packages|bench)\/)/, '');
}
