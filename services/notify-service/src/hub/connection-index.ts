import { Connection } from './connection.ts';

const NOBODY: ReadonlySet<Connection> = new Set();

/**
 * Connections under a key; a key without any costs nothing. Most keys have one, which then stands there by itself: a
 * set around it takes 250 bytes.
 */
class Groups<Key> {
  readonly #groups = new Map<Key, Connection | Set<Connection>>();

  of(key: Key): Iterable<Connection> {
    const group = this.#groups.get(key) ?? NOBODY;
    return group instanceof Connection ? [group] : group;
  }

  add(key: Key, connection: Connection): void {
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, connection);
    else if (group instanceof Connection) this.#groups.set(key, new Set([group, connection]));
    else group.add(connection);
  }

  remove(key: Key, connection: Connection): void {
    const group = this.#groups.get(key);
    if (group === connection) this.#groups.delete(key);
    else if (group instanceof Set && group.delete(connection) && group.size === 0) this.#groups.delete(key);
  }
}

/** Who listens to what. An event costs as much as it has listeners here, whatever the number of sockets. */
export class ConnectionIndex {
  readonly #all = new Set<Connection>();
  readonly #everything = new Set<Connection>();
  readonly #byUser = new Groups<number>();
  readonly #bySession = new Groups<string>();

  get size(): number {
    return this.#all.size;
  }

  get all(): ReadonlySet<Connection> {
    return this.#all;
  }

  get everything(): ReadonlySet<Connection> {
    return this.#everything;
  }

  ofUser(userId: number): Iterable<Connection> {
    return this.#byUser.of(userId);
  }

  ofSession(sessionId: string): Iterable<Connection> {
    return this.#bySession.of(sessionId);
  }

  add(connection: Connection): void {
    const { audience, sessionId } = connection;
    this.#all.add(connection);
    if (audience.kind === 'everything') this.#everything.add(connection);
    else this.#byUser.add(audience.userId, connection);
    if (sessionId !== null) this.#bySession.add(sessionId, connection);
  }

  /** No event reaches it any more; it still counts until `remove`. */
  silence(connection: Connection): void {
    const { audience, sessionId } = connection;
    if (audience.kind === 'everything') this.#everything.delete(connection);
    else this.#byUser.remove(audience.userId, connection);
    if (sessionId !== null) this.#bySession.remove(sessionId, connection);
  }

  remove(connection: Connection): void {
    this.silence(connection);
    this.#all.delete(connection);
  }
}
