import {
  ACCESS_TOKEN_TTL_SECONDS_MAX,
  EVENTS_STREAM,
  eventSubject,
  toExampleEvent,
  userLogin,
} from '@infrasignal/shared';
import {
  ROOMY_NOTIFY_LIMITS,
  scrape,
  startServiceProcess,
  startTestNats,
  TokenIssuer,
  waitFor,
  type ServiceProcess,
} from '@infrasignal/testkit';
import { jetstream, jetstreamManager, type JetStreamClient } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchContext } from '../scenario.ts';
import type { WatchedServer } from '../server-watch.ts';
import { FrameCrowd } from './frame-crowd.ts';

/** Half of what the broker of the tests may keep in memory; five rounds of the scenario are more than all of it. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/** Longer than any run: pings are not what is measured. */
const QUIET_SECONDS = 3_600;

/** Handshakes in one order to a crowd; all at once would be some megabytes in one message between processes. */
const HANDSHAKES_PER_ORDER = 500;

/** Finer would only wake this process more often; coarser would turn a rate into bursts. */
const TICK_MS = 4;

/** Publishing as fast as it goes: enough to keep the broker busy, few enough for its memory. */
const IN_FLIGHT_MAX = 1_000;

const READ_TIMEOUT_MS = 120_000;

/** From this id on users have no socket anywhere. */
export const FIRST_ABSENT_USER_ID = 1_000_000;

/** One notify node and its clients, each of a user of its own. */
export interface NotifyNode {
  readonly name: string;
  readonly server: ServiceProcess;
  readonly crowd: FrameCrowd;
  readonly firstUserId: number;
  readonly sockets: number;
  /** Frames that its clients have been sent in all. */
  frames: number;
}

/** A broker with a stream in memory, and notify nodes that read it; auth-service is stood in for by this process. */
export class NotifyPlace {
  readonly name: string;
  readonly nodes: readonly NotifyNode[];
  readonly servers: readonly WatchedServer[];
  readonly #js: JetStreamClient;
  readonly #seqs = new Map<number, number>();
  #turn = 0;

  private constructor(parts: Pick<NotifyPlace, 'name' | 'nodes' | 'servers'>, js: JetStreamClient) {
    this.name = parts.name;
    this.nodes = parts.nodes;
    this.servers = parts.servers;
    this.#js = js;
  }

  /** @param socketsOfNodes how many sockets each node has */
  static async start(context: BenchContext, name: string, socketsOfNodes: readonly number[]): Promise<NotifyPlace> {
    const { t, progress } = context;
    const nats = await startTestNats(t);
    const broker = await connect({ servers: nats.url });
    t.teardown(() => broker.close());
    const { streams } = await jetstreamManager(broker);
    // In memory: how fast a disk is does not matter here. What is old goes, before all that the broker may use is full.
    const kept = { storage: 'memory', max_bytes: KEPT_BYTES_MAX } as const;
    await streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], ...kept, num_replicas: 1 });
    const issuer = await TokenIssuer.start(t);
    const nodes: NotifyNode[] = [];
    for (const [at, sockets] of socketsOfNodes.entries()) {
      const nodeName = socketsOfNodes.length === 1 ? name : `${name}, node ${at + 1}`;
      const firstUserId = 1 + at * 100_000;
      nodes.push(await startNode(context, nodeName, { natsUrl: nats.url, issuer, sockets, firstUserId }));
      progress(`${nodeName}: ${sockets} sockets`);
    }
    const servers: WatchedServer[] = [
      { name: `nats-server (${name})`, pid: nats.pid, hasChildren: false },
      ...nodes.map((node) => ({ name: node.name, pid: node.server.pid, hasChildren: false })),
      ...nodes.map((node) => ({ name: `clients (${node.name})`, pid: node.crowd.pid, hasChildren: false })),
    ];
    return new NotifyPlace({ name, nodes, servers }, jetstream(broker));
  }

  /** Events at a steady rate, of that node's users in turn, or of nobody who is here. @returns how many */
  async publishSteadily(node: NotifyNode | null, ratePerSecond: number, seconds: number): Promise<number> {
    const total = Math.round(ratePerSecond * seconds);
    const startedAt = performance.now();
    const answers: Promise<unknown>[] = [];
    while (answers.length < total) {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * ratePerSecond));
      while (answers.length < due) answers.push(this.#publish(node));
      await sleep(TICK_MS);
    }
    await Promise.all(answers);
    if (node !== null) {
      node.frames += total;
      await node.crowd.countTo(node.frames);
    }
    return total;
  }

  /** As many events of nobody who is here, as fast as it goes. @returns when the node has read them all */
  async floodWithForeign(node: NotifyNode, count: number): Promise<void> {
    const before = await countRead(node);
    let left = count;
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await this.#publish(null);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT_MAX }, work));
    const isRead = async (): Promise<boolean> => (await countRead(node)) >= before + count;
    const description = 'the node to have read everything';
    await waitFor(isRead, { timeoutMs: READ_TIMEOUT_MS, intervalMs: 50, description });
  }

  #publish(node: NotifyNode | null): Promise<unknown> {
    this.#turn += 1;
    const userId = node === null ? FIRST_ABSENT_USER_ID + this.#turn : node.firstUserId + (this.#turn % node.sockets);
    const seq = (this.#seqs.get(userId) ?? 0) + 1;
    if (node !== null) this.#seqs.set(userId, seq);
    const id = randomUUID();
    const event = {
      ...toExampleEvent(userLogin, seq),
      id,
      subject: `users/${userId}`,
      time: new Date().toISOString(),
      data: { user_id: userId, phone_number: '0123456789' },
    };
    return this.#js.publish(eventSubject(userId, userLogin.type), JSON.stringify(event), { msgID: id });
  }
}

async function countRead({ server }: NotifyNode): Promise<number> {
  return (await scrape(server.url)).sum('infrasignal_events_read_total');
}

interface NodeOptions {
  readonly natsUrl: string;
  readonly issuer: TokenIssuer;
  readonly sockets: number;
  readonly firstUserId: number;
}

async function startNode({ t }: BenchContext, name: string, options: NodeOptions): Promise<NotifyNode> {
  const { natsUrl, issuer, sockets, firstUserId } = options;
  const server = await startServiceProcess(t, {
    entry: 'services/notify-service/src/server.ts',
    env: {
      NATS_URL: natsUrl,
      JWKS_URL: issuer.url,
      ...ROOMY_NOTIFY_LIMITS,
      SOCKETS_MAX: String(sockets + 100),
      PING_INTERVAL_SECONDS: String(QUIET_SECONDS),
    },
  });
  const crowd = new FrameCrowd(t);
  const toHeaders = (at: number): string[] => [
    'Sec-WebSocket-Protocol: infrasignal.v1',
    `Authorization: Bearer ${issuer.token(firstUserId + at, { lifeSeconds: ACCESS_TOKEN_TTL_SECONDS_MAX })}`,
  ];
  for (let at = 0; at < sockets; at += HANDSHAKES_PER_ORDER) {
    const length = Math.min(HANDSHAKES_PER_ORDER, sockets - at);
    await crowd.connect(server.port, Array.from({ length }, (_, index) => toHeaders(at + index)));
  }
  await crowd.countTo(sockets); // each is greeted
  return { name, server, crowd, firstUserId, sockets, frames: sockets };
}
