import { PRESENCE_LEASES_SUBJECT, type PresenceLease } from '@infrasignal/shared';
import type { Broker } from '@infrasignal/service-kit';
import type { PresenceStats } from './presence-stats.ts';
import type { PresentUsers } from './present-users.ts';

/** Changes are told together, this often: a storm of reconnects is at most 64 messages each time. */
const TICK_MS = 250;

export interface PresenceReporterOptions {
  readonly broker: Broker;
  readonly users: PresentUsers;
  readonly nodeId: string;
  readonly stats: PresenceStats;
}

/**
 * Says which users are here, for as long as they are. Nothing is taken back when the node ends: whoever went elsewhere
 * was told of from there before the lease ends, and the others are offline when it does.
 */
export class PresenceReporter {
  readonly #options: PresenceReporterOptions;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: PresenceReporterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#report();
    }, TICK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #report(): void {
    const { broker, users, nodeId, stats } = this.#options;
    const due = users.takeDue(performance.now());
    const { connection } = broker;
    // What is lost without a broker is told again with the next renewal.
    if (connection === null) return;
    for (const { part, userIds } of due) {
      const lease: PresenceLease = { node: nodeId, part, user_ids: [...userIds] };
      connection.publish(PRESENCE_LEASES_SUBJECT, JSON.stringify(lease));
      stats.leasesSent += 1;
    }
  }
}
