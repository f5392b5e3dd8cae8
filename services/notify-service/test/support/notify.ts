import { ROOMY_NOTIFY_LIMITS, startServiceProcess, startTestNats, waitFor, type ServiceProcess, type TestNats } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { EventPublisher } from './event-publisher.ts';
import { TokenIssuer } from '@infrasignal/testkit';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

export interface World {
  readonly nats: TestNats;
  readonly publisher: EventPublisher;
  readonly issuer: TokenIssuer;
}

/** A broker with the stream, and who publishes and signs: all that notify-service has around it. */
export async function startWorld(t: Teardown): Promise<World> {
  const [nats, issuer] = await Promise.all([startTestNats(t), TokenIssuer.start(t)]);
  const publisher = await EventPublisher.start(t, nats.url);
  return { nats, publisher, issuer };
}

export interface Notify {
  readonly app: FastifyInstance;
  readonly url: string;
}

export type Environment = Record<string, string | undefined>;

export function environmentOf({ nats, issuer }: Pick<World, 'nats' | 'issuer'>, changes: Environment = {}): Environment {
  const place = { HOST: '127.0.0.1', PORT: '0', NATS_URL: nats.url, JWKS_URL: issuer.url, LOG_LEVEL: 'silent' };
  return { ...place, ...ROOMY_NOTIFY_LIMITS, ...changes };
}

/** notify-service inside this process, listening, ready or not. */
export async function listenNotify(t: Teardown, world: Pick<World, 'nats' | 'issuer'>, changes: Environment = {}): Promise<Notify> {
  const app = await buildApp(loadConfig(environmentOf(world, changes)));
  t.teardown(() => app.close());
  return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }) };
}

/** notify-service inside this process, ready. */
export async function startNotify(t: Teardown, world: World, changes: Environment = {}): Promise<Notify> {
  const notify = await listenNotify(t, world, changes);
  await waitForReady(notify.url);
  return notify;
}

/** notify-service as a process of its own, ready. */
export function startNotifyProcess(t: Teardown, world: World, changes: Environment = {}): Promise<ServiceProcess> {
  const { HOST: _host, PORT: _port, ...env } = environmentOf(world, changes);
  const { shutdownGraceSeconds } = loadConfig(environmentOf(world, changes));
  // It ends by itself when its grace is over: killed before, it could not show that it does.
  const stopTimeoutMs = (shutdownGraceSeconds + 10) * 1_000;
  return startServiceProcess(t, { entry: 'services/notify-service/src/server.ts', env, stopTimeoutMs });
}

export async function waitForReady(url: string, timeoutMs?: number): Promise<void> {
  const description = 'the node to be ready';
  await waitFor(async () => (await fetch(`${url}/readyz`)).status === 200, { timeoutMs, description });
}
