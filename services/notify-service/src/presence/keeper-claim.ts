import { PRESENCE_KEEPER_STREAM, PRESENCE_KEEPER_SUBJECT, PRESENCE_KEEPER_TTL_SECONDS } from '@infrasignal/shared';
import {
  jetstream,
  jetstreamManager,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { ensureStream } from './ensure-stream.ts';

/** Half of the time is left for the answer to come, and for clocks that do not run alike. */
const TRUST_MS = (PRESENCE_KEEPER_TTL_SECONDS * 1_000) / 2;

/** An answer that takes longer than this comes too late to be of use. */
const TIMEOUT_MS = 2_000;

function isRefusal(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence;
}

/** The claim of one node to be the one that derives presence, on one broker connection. */
export class KeeperClaim {
  readonly #js: JetStreamClient;
  readonly #nodeId: string;
  /** Position of our own message; 0 while there is none. */
  #sequence = 0;
  #renewedAtMs = -Infinity;

  private constructor(js: JetStreamClient, nodeId: string) {
    this.#js = js;
    this.#nodeId = nodeId;
  }

  static async open(connection: NatsConnection, nodeId: string, replicas: number): Promise<KeeperClaim> {
    const manager = await jetstreamManager(connection, { timeout: TIMEOUT_MS });
    const config = { ...PRESENCE_KEEPER_STREAM, subjects: [...PRESENCE_KEEPER_STREAM.subjects], num_replicas: replicas };
    await ensureStream(manager, config);
    return new KeeperClaim(jetstream(connection, { timeout: TIMEOUT_MS }), nodeId);
  }

  /** True while nobody else can have it. A process that was frozen finds that it is not. */
  get isHeld(): boolean {
    return performance.now() - this.#renewedAtMs < TRUST_MS;
  }

  /**
   * Takes or renews it.
   * @returns false when somebody else has it
   * @throws when the broker does not answer
   */
  async renew(): Promise<boolean> {
    const askedAtMs = performance.now();
    try {
      const expect = { lastSubjectSequence: this.#sequence };
      const { seq } = await this.#js.publish(PRESENCE_KEEPER_SUBJECT, this.#nodeId, { expect });
      this.#sequence = seq;
      this.#renewedAtMs = askedAtMs;
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#sequence = 0;
      this.#renewedAtMs = -Infinity;
      return false;
    }
  }
}
