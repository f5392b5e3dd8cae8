import { EventSocket, Ledger, scrape, waitFor } from '@infrasignal/testkit';
import { checkDeliveryTimes, checkSocketsKept } from '../checks/check-others.ts';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import type { Scenario, ScenarioContext } from '../scenario.ts';

/** How many vanish, and how they are noticed: at full length by the defaults. */
const FULL = { count: 1_000, pingIntervalSeconds: 25, pongTimeoutSeconds: 10 };
const SHORT = { count: 100, pingIntervalSeconds: 1, pongTimeoutSeconds: 2 };

/** A node waits so long for the answer to its close before it drops a connection. */
const CLOSE_GRACE_MS = 3_000;

/** Added to the time in which they have to be gone: the machine may be busy. */
const PATIENCE_MS = { run: RECOVERY_LIMIT_MS, control: 500 };

/** Never, as far as a run is concerned. */
const FOREVER_SECONDS = 3_600;

type Size = typeof FULL;

/** Handshakes at once. */
const BATCH = 100;
const CONNECT_TIMEOUT_MS = 20_000;

/**
 * Clients that connect and then are gone without a word: nothing that reaches them is ever answered, and they do not
 * hang up. They write into a ledger of their own, because nobody can say what they should have received.
 */
async function vanish({ t }: ScenarioContext, { accounts, stack }: FaultRun, count: number): Promise<void> {
  const ledger = new Ledger();
  const sockets: EventSocket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.stop();
  });
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(BATCH, count - sockets.length) }, (_, at) => {
      const { userId, access } = accounts[(sockets.length + at) % accounts.length] ?? { userId: 0, access: '' };
      return new EventSocket({ urls: [stack.notify.url], access, record: ledger.addClient('half-open', userId) });
    });
    sockets.push(...batch);
    for (const socket of batch) socket.start();
    const isConnected = (): boolean => batch.every((socket) => socket.isConnected);
    await waitFor(isConnected, { timeoutMs: CONNECT_TIMEOUT_MS, description: 'those who will vanish to be connected' });
    for (const socket of batch) socket.pause();
  }
}

/** @returns what is wrong when everybody who vanished should be gone */
async function watchThemGo(faultRun: FaultRun, size: Size, patienceMs: number): Promise<Violation[]> {
  const { figures, sockets, stack } = faultRun;
  const startedAt = performance.now();
  const limitMs = (size.pingIntervalSeconds + size.pongTimeoutSeconds) * 1_000 + CLOSE_GRACE_MS;
  const countLeft = async (): Promise<number> => {
    const metrics = await scrape(stack.notify.url);
    return metrics.sum('infrasignal_connections') - sockets.length;
  };
  await waitFor(async () => (await countLeft()) === 0, { timeoutMs: limitMs + patienceMs, intervalMs: 200 })
    .catch(() => undefined); // who is left is counted
  const left = await countLeft();
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  if (left !== 0) return [{ invariant: 'I5', text: `${left} of ${size.count} half-open connections are left after ${seconds} s` }];
  figures.push(`${size.count} half-open connections were gone after ${seconds} s`);
  return [];
}

interface Play {
  readonly size: Size;
  readonly users: number;
  /** What the node is told, if it is not what `size` says. */
  readonly pongTimeoutSeconds?: number;
  readonly patienceMs?: number;
}

async function play(context: ScenarioContext, options: Play): Promise<FaultRunResult> {
  const { t, random, progress } = context;
  const { size, users, pongTimeoutSeconds = size.pongTimeoutSeconds, patienceMs = PATIENCE_MS.run } = options;
  const notifyEnv = {
    PING_INTERVAL_SECONDS: String(size.pingIntervalSeconds),
    PONG_TIMEOUT_SECONDS: String(pongTimeoutSeconds),
  };
  const faultRun = await FaultRun.set(t, { random, progress, users, stack: { notifyEnv } });
  await vanish(context, faultRun, size.count);
  progress(`${size.count} clients vanished`);
  const left = await watchThemGo(faultRun, size, patienceMs);
  await faultRun.measureRecovery();
  const { clients } = faultRun.ledger;
  const result = await faultRun.finish({ isAuthUnharmed: true });
  const disturbed = [...checkSocketsKept(clients), ...checkDeliveryTimes(clients, RECOVERY_LIMIT_MS)];
  return { ...result, violations: [...result.violations, ...left, ...disturbed] };
}

function run(context: ScenarioContext): Promise<FaultRunResult> {
  return play(context, context.isFull ? { size: FULL, users: 100 } : { size: SHORT, users: 15 });
}

/** A node that asks, and waits for an answer for ever. */
function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const patienceMs = PATIENCE_MS.control;
  return play(context, { size: SHORT, users: 10, pongTimeoutSeconds: FOREVER_SECONDS, patienceMs });
}

export const halfOpen: Scenario = {
  id: 'F14',
  title: '1,000 clients vanish without closing their connections',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'a node that waits for an answer to its ping for ever',
    symptoms: [/^I5 100 of 100 half-open connections are left/, /^I5 notify-service has \d+ descriptors open/],
    run: runBroken,
  },
};
