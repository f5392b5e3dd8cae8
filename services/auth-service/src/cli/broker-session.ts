import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { toConnectOptions, type BrokerAccess } from '@infrasignal/service-kit';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { AuthConfig } from '../config.ts';

/** A person waits for it, and the broker may be far away; it is not tried a second time. */
const BROKER_TIMEOUT_MS = 3_000;

export interface BrokerSession {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

/** Connects to the broker for the time of one question. @throws Error when it is not there, or has no JetStream */
export async function withBroker<Result>(
  config: BrokerAccess & Pick<AuthConfig, 'natsUrl'>,
  use: (session: BrokerSession) => Promise<Result>,
): Promise<Result> {
  const connection = await connect({
    ...toConnectOptions(config.natsUrl, config),
    name: 'infrasignal-cli',
    reconnect: false,
    timeout: BROKER_TIMEOUT_MS,
  });
  try {
    return await use({ connection, manager: await jetstreamManager(connection, { timeout: BROKER_TIMEOUT_MS }) });
  } finally {
    await connection.close();
  }
}
