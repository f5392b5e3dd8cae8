import { parsePresenceLease, PRESENCE_LEASES_SUBJECT } from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import type { NatsConnection } from '@nats-io/transport-node';
import type { FastifyBaseLogger } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { settleOrAbort } from '../relay/abortable.ts';
import { KeeperClaim } from './keeper-claim.ts';
import { PresenceLog } from './presence-log.ts';
import type { PresenceStats } from './presence-stats.ts';
import { PRESENCE_LEASE_MS, PresenceView, type Change } from './presence-view.ts';

/** How often a node that does not keep presence asks for it, and one that does renews: a third of the claim's life. */
const CLAIM_INTERVAL_MS = 2_000;

/** How often the keeper looks at what changed: what an online event may be late by. */
const LOOK_INTERVAL_MS = 250;

/** Changes on their way to the broker at once: a node with 10,000 users that dies is told of in a second or two. */
const CHANGES_AT_ONCE = 256;

export interface PresenceKeeperOptions {
  readonly broker: Broker;
  readonly nodeId: string;
  readonly replicas: number;
  readonly stats: PresenceStats;
  readonly log: FastifyBaseLogger;
}

/**
 * Announces who came and went, on one node at a time; every node is a candidate. README.md in this folder says why what
 * it announces is right after a crash of anything.
 */
export class PresenceKeeper {
  readonly #options: PresenceKeeperOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isKeeping = false;

  constructor(options: PresenceKeeperOptions) {
    this.#options = options;
  }

  /** True while this node is the one that announces. */
  get isKeeping(): boolean {
    return this.#isKeeping;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { broker, log } = this.#options;
    while (!this.#stopping.signal.aborted) {
      const { connection } = broker;
      // What was sent on a connection that broke is in doubt, also when it comes back: then everything begins anew.
      const lost = new AbortController();
      const stopListening = broker.onDisconnected(() => {
        lost.abort();
      });
      const ending = AbortSignal.any([this.#stopping.signal, lost.signal]);
      try {
        if (connection !== null) await this.#serve(connection, ending);
      } catch (error) {
        if (!ending.aborted) log.warn({ err: error }, 'presence is not kept by this node now');
      } finally {
        stopListening();
      }
      await pause(CLAIM_INTERVAL_MS, this.#stopping.signal);
    }
  }

  /** Asks for the claim until it is ours, and keeps presence until it is not. Throws when the broker goes away. */
  async #serve(connection: NatsConnection, ending: AbortSignal): Promise<void> {
    const { nodeId, replicas } = this.#options;
    const claim = await KeeperClaim.open(connection, nodeId, replicas);
    while (!ending.aborted) {
      if (await claim.renew()) await this.#keep(connection, claim, ending);
      await pause(CLAIM_INTERVAL_MS * (0.5 + Math.random()), ending);
    }
  }

  async #keep(connection: NatsConnection, claim: KeeperClaim, ending: AbortSignal): Promise<void> {
    const { log, nodeId, replicas, stats } = this.#options;
    const presence = await PresenceLog.open(connection);
    await presence.ensureStream(replicas);
    // Leases first: what is heard while the announcements are read must not be missed.
    let view: PresenceView | null = null;
    const subscription = connection.subscribe(PRESENCE_LEASES_SUBJECT, {
      callback: (error, message) => {
        if (error !== null) return;
        const lease = parsePresenceLease(message.string());
        if (lease === null) stats.leasesUnreadable += 1;
        else view?.hear(lease, performance.now());
      },
    });
    const renewing = setInterval(() => {
      claim.renew().catch(() => undefined);
    }, CLAIM_INTERVAL_MS);
    try {
      // The library's consumer does not end while it makes itself anew, so nobody waits for its end.
      const newest = await settleOrAbort(presence.readNewest(), ending);
      if (newest === null) return;
      view = new PresenceView(newest);
      stats.keeperTerms += 1;
      log.info({ nodeId }, 'this node keeps presence');
      this.#isKeeping = true;
      // Every node that lives renews its leases within this time; before it is over, silence means nothing.
      const silentUntilMs = performance.now() + PRESENCE_LEASE_MS;
      while (!ending.aborted && claim.isHeld) {
        const isListening = performance.now() < silentUntilMs;
        if (!isListening) view.expire(performance.now());
        const changes = isListening ? [] : view.takeChanges(CHANGES_AT_ONCE);
        await this.#announce(presence, view, changes);
        if (changes.length < CHANGES_AT_ONCE) await pause(LOOK_INTERVAL_MS, ending);
      }
    } finally {
      clearInterval(renewing);
      subscription.unsubscribe();
      this.#isKeeping = false;
    }
  }

  /** Throws when one of them is not stored, or in doubt: everything is then read anew. */
  async #announce(presence: PresenceLog, view: PresenceView, changes: readonly Change[]): Promise<void> {
    await Promise.all(
      changes.map(async (change) => {
        const sequence = await presence.append(change);
        this.#options.stats.announced += 1;
        view.announced(change.userId, { isOnline: change.isOnline, sequence });
      }),
    );
  }
}

/** Cut short by the signal. */
async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await sleep(durationMs, undefined, { signal }).catch(() => undefined);
}
