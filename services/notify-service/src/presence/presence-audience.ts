import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { PresenceChange } from './presence-log.ts';
import type { PresenceStats } from './presence-stats.ts';

/** The connections of this node that hear who comes and goes: staff and services, so they are few. */
export class PresenceAudience {
  readonly #connections = new Set<Connection>();
  readonly #hub: Pick<Hub, 'send'>;
  readonly #stats: PresenceStats;

  constructor(hub: Pick<Hub, 'send'>, stats: PresenceStats) {
    this.#hub = hub;
    this.#stats = stats;
  }

  add(connection: Connection): void {
    this.#connections.add(connection);
  }

  remove(connection: Connection): void {
    this.#connections.delete(connection);
  }

  tell({ userId, event: { type, id, time } }: PresenceChange): void {
    for (const connection of this.#connections) {
      // Its first frame is `connected`, and nothing that happened before is its concern.
      if (connection.state !== 'live') continue;
      this.#hub.send(connection, connection.port.encode({ type, user_id: userId, id, time }));
      this.#stats.delivered += 1;
    }
  }
}
