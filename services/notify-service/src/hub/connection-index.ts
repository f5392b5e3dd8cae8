import type { Connection } from './connection.ts';

const NOBODY: ReadonlySet<Connection> = new Set();

/** Who listens to what. An event costs as much as it has listeners here, whatever the number of sockets. */
export class ConnectionIndex {
  readonly #all = new Set<Connection>();
  readonly #everything = new Set<Connection>();
  readonly #byUser = new Map<number, Set<Connection>>();

  get size(): number {
    return this.#all.size;
  }

  get all(): ReadonlySet<Connection> {
    return this.#all;
  }

  get everything(): ReadonlySet<Connection> {
    return this.#everything;
  }

  ofUser(userId: number): ReadonlySet<Connection> {
    return this.#byUser.get(userId) ?? NOBODY;
  }

  add(connection: Connection): void {
    const { audience } = connection;
    this.#all.add(connection);
    if (audience.kind === 'everything') {
      this.#everything.add(connection);
      return;
    }
    const connections = this.#byUser.get(audience.userId);
    if (connections === undefined) this.#byUser.set(audience.userId, new Set([connection]));
    else connections.add(connection);
  }

  /** No event reaches it any more; it still counts until `remove`. */
  silence(connection: Connection): void {
    const { audience } = connection;
    if (audience.kind === 'everything') {
      this.#everything.delete(connection);
      return;
    }
    const connections = this.#byUser.get(audience.userId);
    if (connections?.delete(connection) === true && connections.size === 0) this.#byUser.delete(audience.userId);
  }

  remove(connection: Connection): void {
    this.silence(connection);
    this.#all.delete(connection);
  }
}
