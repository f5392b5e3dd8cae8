import type { Connection } from '../hub/connection.ts';
import type { PresenceAudience } from './presence-audience.ts';
import type { PresentUsers } from './present-users.ts';

/** What presence needs to know of who is behind a connection. */
export interface PresenceListener {
  /** Null: nobody in particular. */
  readonly userId: number | null;
  /** True for who may hear of others' presence. */
  readonly hearsPresence: boolean;
}

/** Where the edge says that a connection came, and that it is gone. */
export class PresenceDesk {
  readonly #users: PresentUsers;
  readonly #audience: PresenceAudience;

  constructor(users: PresentUsers, audience: PresenceAudience) {
    this.#users = users;
    this.#audience = audience;
  }

  opened(connection: Connection, { userId, hearsPresence }: PresenceListener): void {
    if (userId !== null) this.#users.entered(userId);
    if (hearsPresence) this.#audience.add(connection);
  }

  /** Once for each connection that was opened. */
  gone(connection: Connection, { userId, hearsPresence }: PresenceListener): void {
    if (userId !== null) this.#users.left(userId, performance.now());
    if (hearsPresence) this.#audience.remove(connection);
  }
}
