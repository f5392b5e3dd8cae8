import {
  ACCESS_TOKEN_TTL_SECONDS_MAX,
  EVENTS_STREAM,
  eventSubject,
  EXAMPLE_USER_ID,
  toExampleEvent,
  userLogin,
} from '@infrasignal/shared';
import {
  ROOMY_NOTIFY_LIMITS,
  startServiceProcess,
  TokenIssuer,
  type ServiceProcess,
  type TestNats,
} from '@infrasignal/testkit';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import type { BenchContext } from '../scenario.ts';
import { FrameCrowd, UPGRADED, type CrowdEntry } from './frame-crowd.ts';

/** Longer than any run: pings are not what is measured. */
const QUIET_SECONDS = 3_600;

/** By WebSocket at once; the client asks for the namespace when it has been greeted, and is told its id. */
export const SOCKET_IO_JOINED: CrowdEntry = {
  path: '/socket.io/?EIO=4&transport=websocket',
  word: { text: '40', after: '"maxPayload"' },
  until: '"}',
};

/** One way to send a notification to many. */
export interface Way {
  readonly name: string;
  readonly server: ServiceProcess;
  readonly crowd: FrameCrowd;
  /** How a client comes in, but for its header lines. */
  readonly entry: CrowdEntry;
  /** Frames that each client is sent behind that and before any notification. */
  readonly greetings: number;
  /** Header lines of each client, beside those that every handshake has. */
  headers(at: number): readonly string[];
  /** Resolves when the broker has all of them. */
  publish(count: number): Promise<void>;
}

/** The next notification, as auth-service would have published it. */
class Source {
  #seq = 0;

  next(): { readonly id: string; readonly text: string } {
    this.#seq += 1;
    const id = randomUUID();
    const time = new Date().toISOString();
    return { id, text: JSON.stringify({ ...toExampleEvent(userLogin, this.#seq), id, time }) };
  }
}

/** notify-service, with every client on the feed of everything. */
export async function createOurs(
  { t }: BenchContext,
  nats: TestNats,
  broker: NatsConnection,
  name: string,
): Promise<Way> {
  const issuer = await TokenIssuer.start(t);
  const { streams } = await jetstreamManager(broker);
  // In memory: how fast a disk is does not matter here.
  await streams.add({ ...EVENTS_STREAM, subjects: [...EVENTS_STREAM.subjects], storage: 'memory', num_replicas: 1 });
  const server = await startServiceProcess(t, {
    entry: 'services/notify-service/src/server.ts',
    env: {
      NATS_URL: nats.url,
      JWKS_URL: issuer.url,
      ...ROOMY_NOTIFY_LIMITS,
      PING_INTERVAL_SECONDS: String(QUIET_SECONDS),
    },
  });
  const feedOptions = { claims: { scope: 'notifications:all' }, lifeSeconds: ACCESS_TOKEN_TTL_SECONDS_MAX };
  const source = new Source();
  const js = jetstream(broker);
  const subject = eventSubject(EXAMPLE_USER_ID, userLogin.type);
  return {
    name,
    server,
    crowd: new FrameCrowd(t),
    entry: UPGRADED,
    greetings: 1,
    // Signed when a size begins: one size takes minutes, not a quarter of an hour.
    headers: (at) => [
      'Sec-WebSocket-Protocol: infrasignal.v1',
      `Authorization: Bearer ${issuer.token(at + 1, feedOptions)}`,
    ],
    publish: async (count) => {
      const due = Array.from({ length: count }, () => source.next());
      await Promise.all(due.map(({ id, text }) => js.publish(subject, text, { msgID: id })));
    },
  };
}

interface PeerOptions {
  readonly name: string;
  readonly kind: 'ws' | 'socket.io' | 'raw';
  readonly entry?: CrowdEntry;
}

/** A peer reads the same from the same broker, on a subject of its own: whoever is not measured has nothing to do. */
export async function createPeer(
  { t }: BenchContext,
  nats: TestNats,
  broker: NatsConnection,
  { name, kind, entry = UPGRADED }: PeerOptions,
): Promise<Way> {
  const subject = `fan-out.${kind.replace('.', '-')}`;
  const server = await startServiceProcess(t, {
    entry: 'bench/peers/fan-out-server.ts',
    env: { NATS_URL: nats.url, SUBJECT: subject, WAY: kind },
  });
  const source = new Source();
  return {
    name,
    server,
    crowd: new FrameCrowd(t),
    entry,
    greetings: 0,
    headers: () => [],
    publish: async (count) => {
      for (let at = 0; at < count; at += 1) broker.publish(subject, source.next().text);
      await broker.flush();
    },
  };
}
