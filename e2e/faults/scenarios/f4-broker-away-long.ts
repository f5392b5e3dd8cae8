import type { EventEnvelope } from '@infrasignal/shared';
import { EVENTS_STREAM_NAME } from '@infrasignal/shared/plain';
import { nowMs, readStream, waitFor, type ProxyRule } from '@infrasignal/testkit';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkSocketsKept } from '../checks/check-others.ts';
import { RECOVERY_LIMIT_MS } from '../checks/check-recovery.ts';
import { FaultRun, type FaultRunOptions, type FaultRunResult } from '../fault-run.ts';
import { CONTROL_PATIENCE_MS, LOADED_USERS, type Scenario, type ScenarioContext } from '../scenario.ts';

/**
 * The window in which the broker recognises repeats, in seconds. In production it is ten minutes, and what the relay
 * does is in proportion to it: a minute shows the same. `--window 600` is the real thing.
 */
const WINDOW_SECONDS = { full: 60, short: 2 };

/** The broker is away for so much longer than that. */
const AWAY_SHARE = 1.1;

/**
 * What waited is published at least three times as fast as it came in: as fast as a busy disk syncs, beside the look-ups.
 * With more, the real window and its recovery would outlast the clients' access tokens.
 */
const DRAIN_SHARE = 0.3;

/** Load flows before the fault. */
const FLOW_MS_MAX = 1_000;

/** How the relay's publishing looks on the wire, and the ids of events in it. */
const PUBLISH = 'HPUB users.';
const EVENT_IDS = /Nats-Msg-Id: ([0-9a-f-]{36})/g;

interface Plan extends Pick<FaultRunOptions, 'users' | 'preload' | 'patienceMs'> {
  readonly windowSeconds: number;
}

/** The broker stores what it is sent, nobody hears of it, and it is gone. */
async function loseLastAcknowledgements(faultRun: FaultRun): Promise<void> {
  const { broker, figures, stack } = faultRun;
  const links = stack.links.authToBroker;
  const inDoubt = new Set<string>();
  const rule: ProxyRule = (chunk) => {
    if (!chunk.includes(PUBLISH)) return 'forward';
    for (const [, id] of chunk.toString().matchAll(EVENT_IDS)) inDoubt.add(String(id));
    return 'swallow-answers';
  };
  for (const link of links) link.setRule(rule);
  const countStored = async (): Promise<number> => {
    const messages = await readStream<EventEnvelope>({ url: stack.nats.url, stream: EVENTS_STREAM_NAME });
    return messages.filter(({ data }) => inDoubt.has(data.id)).length;
  };
  const count = await waitFor(countStored, { description: 'events whose acknowledgement is lost' });
  await broker.kill();
  for (const link of links) link.setRule(null);
  faultRun.countFault('acknowledgements lost');
  figures.push(`${count} events were stored without anybody knowing`);
}

async function play({ t, random, progress }: ScenarioContext, plan: Plan): Promise<FaultRunResult> {
  const { windowSeconds, ...options } = plan;
  const awayMs = windowSeconds * AWAY_SHARE * 1_000;
  const faultRun = await FaultRun.set(t, {
    ...options,
    random,
    progress,
    recoveryLimitMs: RECOVERY_LIMIT_MS + awayMs * DRAIN_SHARE,
    stack: { links: ['authToBroker'], authEnv: { DUPLICATE_WINDOW_SECONDS: String(windowSeconds) } },
  });
  const { broker, ledger } = faultRun;
  await sleep(random() * FLOW_MS_MAX);
  await loseLastAcknowledgements(faultRun);
  const goneAt = nowMs();
  progress(`the broker is away for ${(awayMs / 1_000).toFixed(0)} s`);
  await sleep(goneAt + awayMs - nowMs());
  await broker.start();
  await faultRun.measureRecovery();
  const result = await faultRun.finish({ isAuthUnharmed: true });
  return { ...result, violations: [...result.violations, ...checkSocketsKept(ledger.clients)] };
}

function run(context: ScenarioContext): Promise<FaultRunResult> {
  const size = context.isFull ? 'full' : 'short';
  const windowSeconds = context.windowSeconds ?? WINDOW_SECONDS[size];
  return play(context, { windowSeconds, users: LOADED_USERS[size] });
}

/** A relay that publishes what it is in doubt about, and trusts the broker to recognise it. */
function runBroken(context: ScenarioContext): Promise<FaultRunResult> {
  const preload = new URL('../preloads/relay-without-lookups.mjs', import.meta.url);
  return play(context, {
    windowSeconds: WINDOW_SECONDS.short,
    users: 10,
    preload,
    patienceMs: CONTROL_PATIENCE_MS,
  });
}

export const brokerAwayLong: Scenario = {
  id: 'F4',
  title: 'nats-server is gone with its last acknowledgements, for longer than it recognises repeats',
  isMostlyWaiting: true,
  run,
  control: {
    title: 'a relay that does not look up what it is in doubt about',
    symptoms: [/^I1 .* is in the stream 2 times/],
    run: runBroken,
  },
};
