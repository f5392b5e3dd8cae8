/** Clients that come back whenever their connection ends. Forked by returning-crowd.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { obeyOrders } from './order-process.ts';
import { ReturningClient, type ReturningCounts } from './returning-client.ts';

export type ReturningOrder =
  | { readonly kind: 'connect'; readonly port: number; readonly tokens: readonly string[] }
  | { readonly kind: 'count-away' }
  | { readonly kind: 'look' }
  | { readonly kind: 'forget' };

/** How things stand, each list with one figure per client. */
export interface CrowdState {
  /** Null for a client that is away. */
  readonly wholeAtMs: readonly (number | null)[];
  readonly newestSeqs: readonly number[];
  readonly repeated: number;
  readonly missed: number;
  readonly unrecovered: number;
  readonly unreachable: number;
  readonly refusals: Readonly<Record<string, number>>;
  /** Since `forget`. */
  readonly latenciesMs: readonly number[];
  /** Share of the time since `forget` in which the loop had something to do. */
  readonly busyShare: number;
}

/** Handshakes on the way at once while the scene is set. */
const CONNECTING_AT_ONCE = 64;
const POLL_MS = 5;

const clients: ReturningClient[] = [];
const counts: ReturningCounts = { refusals: new Map(), unreachable: 0, unrecovered: 0 };
let loopBefore = performance.eventLoopUtilization();

async function connectAll(port: number, tokens: readonly string[]): Promise<void> {
  const own = tokens.map((token) => new ReturningClient(port, token, counts));
  clients.push(...own);
  const left = [...own];
  const work = async (): Promise<void> => {
    for (let client = left.pop(); client !== undefined; client = left.pop()) {
      client.start();
      while (client.wholeAtMs === null) await sleep(POLL_MS);
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, work));
}

function look(): CrowdState {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    wholeAtMs: clients.map(({ wholeAtMs }) => wholeAtMs),
    newestSeqs: clients.map(({ newestSeq }) => newestSeq),
    repeated: sum(clients.map(({ repeated }) => repeated)),
    missed: sum(clients.map(({ missed }) => missed)),
    unrecovered: counts.unrecovered,
    unreachable: counts.unreachable,
    refusals: Object.fromEntries(counts.refusals),
    latenciesMs: clients.flatMap(({ latenciesMs }) => latenciesMs),
    busyShare: performance.eventLoopUtilization(loopBefore).utilization,
  };
}

function forget(): void {
  counts.refusals.clear();
  counts.unreachable = 0;
  for (const { latenciesMs } of clients) latenciesMs.length = 0;
  loopBefore = performance.eventLoopUtilization();
}

obeyOrders(async (order: ReturningOrder) => {
  if (order.kind === 'connect') await connectAll(order.port, order.tokens);
  if (order.kind === 'forget') forget();
  if (order.kind === 'count-away') return { away: clients.filter(({ wholeAtMs }) => wholeAtMs === null).length };
  return order.kind === 'look' ? { state: look() } : {};
});
