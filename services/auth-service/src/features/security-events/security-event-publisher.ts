import {
  SECURITY_STREAM,
  SECURITY_STREAM_NAME,
  securityEventDefinitions,
  toSecurityEnvelope,
} from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import { jetstream, jetstreamManager, JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { StoredSecurityEvent } from './security-events-repository.ts';

/** How long an acknowledgement may take; after that the event is published again, under the same id. */
const ACK_TIMEOUT_MS = 5_000;

const SOURCE = 'urn:infrasignal:auth-service';

/** Publishes signs of attacks into their stream. At least once: its readers know an event again by its `id`. */
export class SecurityEventPublisher {
  readonly #broker: Broker;
  readonly #streamReplicas: number;
  #preparedFor: NatsConnection | null = null;

  constructor(broker: Broker, streamReplicas: number) {
    this.#broker = broker;
    this.#streamReplicas = streamReplicas;
  }

  /** False while the broker is away. */
  get isReady(): boolean {
    return this.#broker.connection !== null;
  }

  /** Resolves when the broker has stored it. @throws on every doubt */
  async publish({ eventId, type, seq, data, createdAt }: StoredSecurityEvent): Promise<void> {
    const { connection } = this.#broker;
    if (connection === null) throw new Error('the broker is away');
    await this.#ensureStream(connection);
    // A row of a release to come: this one publishes it all the same.
    const { version } = securityEventDefinitions.find((definition) => definition.type === type) ?? { version: 1 };
    const envelope = toSecurityEnvelope(
      { type, version },
      { id: eventId, source: SOURCE, time: createdAt.toISOString(), seq, data },
    );
    try {
      const options = { msgID: eventId, timeout: ACK_TIMEOUT_MS };
      await jetstream(connection, { timeout: ACK_TIMEOUT_MS }).publish(type, JSON.stringify(envelope), options);
    } catch (error) {
      // Perhaps the stream went with the broker's disk.
      this.#preparedFor = null;
      throw error;
    }
  }

  /** Makes the stream if it is missing; once per connection and after each failure. */
  async #ensureStream(connection: NatsConnection): Promise<void> {
    if (this.#preparedFor === connection) return;
    const { streams } = await jetstreamManager(connection, { timeout: ACK_TIMEOUT_MS });
    try {
      await streams.info(SECURITY_STREAM_NAME);
    } catch (error) {
      const isMissing = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
      if (!isMissing) throw error;
      const subjects = [...SECURITY_STREAM.subjects];
      await streams.add({ ...SECURITY_STREAM, subjects, num_replicas: this.#streamReplicas });
    }
    this.#preparedFor = connection;
  }
}
