import { scrape, waitFor, type ClientRecord } from '@infrasignal/testkit';
import { sendBurst } from '../burst.ts';
import { checkDeliveryTimes, checkSocketsKept, findSlowestMs } from '../checks/check-others.ts';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import type { Violation } from '../checks/evidence.ts';
import { FaultRun, type FaultRunResult } from '../fault-run.ts';
import type { Scenario, ScenarioContext } from '../scenario.ts';
import { readPeakMib } from '../victim.ts';

/** Either way together more than the kernel keeps for a connection (some megabytes) and the limit of the node. */
const BURST = { full: { count: 50_000, textBytes: 400 }, short: { count: 1_500, textBytes: 4_000 } };

/** The default, and in short runs as little as those who read are never short of. */
const QUEUE_BYTES_MAX = { full: 1_048_576, short: 524_288 };

/** Of the first user: one wakes up when it has been closed, one when the burst is over, one reads all the time. */
const SOCKETS_PER_USER = 3;
const SLOW = 2;

const ENVIRONMENT = {
  // What passed through a node is kept in memory for those who come back: within bounds, but not what is measured here.
  RECENT_EVENTS_MAX: '500',
  // On a slow machine who does not read would be closed for not answering first.
  PONG_TIMEOUT_SECONDS: '600',
};

/** What the relay has published the node may have yet to deliver. */
const CLOSED_TIMEOUT_MS = 10_000;

interface Size {
  readonly users: number;
  readonly queueBytesMax: number;
  /** How many are closed as slow: so many are waited for before the slow ones read again. */
  readonly closes: number;
}

interface Findings {
  /** How many the node says it closed as slow. */
  readonly closed: number;
  /** The most that waited in the node for readers, in bytes. */
  readonly unreadBytesMax: number;
}

/** Lets the slow ones sleep while the burst is sent, and wakes them up. */
async function burst({ isFull, progress }: ScenarioContext, faultRun: FaultRun, closes: number): Promise<Findings> {
  const { accounts, sockets, stack, writtenEventIds } = faultRun;
  const slow = sockets.slice(0, SLOW);
  for (const socket of slow) socket.pause();
  let [closed, unreadBytesMax] = [0, 0];
  const look = async (): Promise<void> => {
    const metrics = await scrape(stack.notify.url);
    const closedBefore = closed;
    closed = metrics.sum('infrasignal_connection_closes_total', { code: '4008' });
    unreadBytesMax = Math.max(unreadBytesMax, metrics.sum('infrasignal_queue_bytes'));
    if (closed === SLOW && closedBefore < SLOW) slow[0]?.resume();
  };
  const { count, textBytes } = isFull ? BURST.full : BURST.short;
  const startedAt = performance.now();
  const ids = await sendBurst(stack, { userId: accounts[0]?.userId ?? 0, count, textBytes }, look);
  for (const id of ids) writtenEventIds.add(id);
  const areClosed = async (): Promise<boolean> => {
    await look();
    return closed === closes;
  };
  await waitFor(areClosed, { timeoutMs: CLOSED_TIMEOUT_MS }).catch(() => undefined); // how many were is judged below
  progress(`${ids.length} notifications in ${Math.round(performance.now() - startedAt)} ms, ${closed} closed as slow`);
  for (const socket of slow) socket.resume();
  return { closed, unreadBytesMax };
}

/** Whoever does not read is closed, before much has piled up for it. */
function* checkClosed({ closed, unreadBytesMax }: Findings, queueBytesMax: number): Generator<Violation> {
  if (closed !== SLOW) yield { invariant: 'I5', text: `${closed} of ${SLOW} slow readers were closed with 4008` };
  // What is due to those who read is counted as well, for the moment that it takes to write it.
  const limit = (SLOW + 1) * queueBytesMax;
  if (unreadBytesMax > limit) yield { invariant: 'I5', text: `${unreadBytesMax} bytes waited in the node for readers` };
}

/** A slow reader may be told that it missed more than a resume brings, and nothing else. */
function* checkReasons({ name, connections }: ClientRecord): Generator<Violation> {
  for (const { frames } of connections) {
    const [greeting] = frames;
    if (greeting?.body.recovered !== false || greeting.body.reason === 'limit') continue;
    yield { invariant: 'I2', text: `${name} was told ${String(greeting.body.reason)}` };
  }
}

/** A burst alone is enough to do in a short run. */
const RATE_PER_SECOND = { full: 50, short: 20 };

async function play(context: ScenarioContext, { users, queueBytesMax, closes }: Size): Promise<FaultRunResult> {
  const { t, random, progress, isFull } = context;
  const notifyEnv = { ...ENVIRONMENT, SOCKET_QUEUE_BYTES_MAX: String(queueBytesMax) };
  const ratePerSecond = isFull ? RATE_PER_SECOND.full : RATE_PER_SECOND.short;
  const load = { random, progress, users, socketsPerUser: SOCKETS_PER_USER, ratePerSecond };
  const faultRun = await FaultRun.set(t, { ...load, stack: { notifyEnv } });
  const { figures, ledger, stack } = faultRun;
  const peakMib = readPeakMib(stack.notify.pid);
  const findings = await burst(context, faultRun, closes);
  await faultRun.measureRecovery();
  const slow = ledger.clients.slice(0, SLOW);
  const others = ledger.clients.slice(SLOW);
  const result = await faultRun.finish({ isAuthUnharmed: true, allowances: { mayLoseRecovery: true } });
  figures.push(
    `others received everything within ${Math.round(findSlowestMs(others))} ms; ${findings.unreadBytesMax} bytes waited in the node; ` +
      `at the peak it used ${readPeakMib(stack.notify.pid) - peakMib} MiB more than before`,
    `the slow ones came back ${slow.map(describeReturn).join(' and ')}`,
  );
  const violations = [
    ...result.violations,
    ...checkClosed(findings, isFull ? QUEUE_BYTES_MAX.full : QUEUE_BYTES_MAX.short),
    ...slow.flatMap((client) => [...checkReasons(client)]),
    ...checkSocketsKept(others),
    ...checkDeliveryTimes(others, RECOVERY_LIMIT_MS),
  ];
  return { ...result, violations };
}

function describeReturn({ connections }: ClientRecord): string {
  const returns = connections.slice(1).flatMap(({ frames }) => frames.slice(0, 1));
  if (returns.length === 0) return 'never';
  return returns.map(({ body }) => (body.recovered === true ? 'whole' : `told “${String(body.reason)}”`)).join(', ');
}

function run(context: ScenarioContext): Promise<FaultRunResult> {
  const { full, short } = QUEUE_BYTES_MAX;
  const size = context.isFull ? { users: 100, queueBytesMax: full } : { users: 15, queueBytesMax: short };
  return play(context, { ...size, closes: SLOW });
}

/** A node that keeps everything for everybody until it is read. */
function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  return play({ ...context, isFull: false }, { users: 10, queueBytesMax: 1_073_741_824, closes: 0 });
}

export const slowReader: Scenario = {
  id: 'F13',
  title: 'two sockets of a user do not read during a burst of 50,000 notifications to it',
  run,
  control: {
    title: 'a node that keeps everything until it is read',
    symptoms: [/^I5 0 of 2 slow readers were closed/, /^I5 \d{7,} bytes waited in the node/],
    run: runBroken,
  },
};
