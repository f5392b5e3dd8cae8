/**
 * What happened, as seen from outside the system: every request with its outcome and every frame of every client.
 * Times are milliseconds since 1970 by this machine's clock, which is also the clock of the database under test.
 */
import { writeFileSync } from 'node:fs';

/** `unknown`: sent, and no answer tells whether it was carried out. */
export type Outcome = 'ok' | 'fail' | 'unknown';

export interface Operation {
  readonly kind: 'register' | 'login';
  /** As it was sent. */
  readonly phoneNumber: string;
  readonly startedAt: number;
  /** Null while the request is on its way. */
  endedAt: number | null;
  outcome: Outcome;
  /** The answer's, when it was carried out. */
  userId: number | null;
  /** Status or error, for people. */
  note: string;
}

/** A notification or a control frame, as it was received. */
export interface ReceivedFrame {
  readonly at: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One connection, from the handshake to its end. */
export interface ConnectionRecord {
  readonly startedAt: number;
  /** What it asked to continue from; null: from now on. */
  readonly after: string | null;
  openedAt: number | null;
  closedAt: number | null;
  closeCode: number | null;
  /** Status of a refused handshake, or the error that ended it. */
  refusal: string | null;
  readonly frames: ReceivedFrame[];
}

/** One client over all its connections: what its user would have seen. */
export interface ClientRecord {
  readonly name: string;
  /** Null: the feed of everything. */
  readonly userId: number | null;
  readonly connections: ConnectionRecord[];
}

export interface LedgerEntries {
  readonly operations: readonly Operation[];
  readonly clients: readonly ClientRecord[];
}

/** Milliseconds since 1970 with a fraction: two things of one millisecond stay apart. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export class Ledger implements LedgerEntries {
  readonly operations: Operation[] = [];
  readonly clients: ClientRecord[] = [];

  /** Notes a request that is about to be sent. Until it is settled its outcome is unknown, as it is in truth. */
  begin(kind: Operation['kind'], phoneNumber: string): Operation {
    const operation: Operation = {
      kind,
      phoneNumber,
      startedAt: nowMs(),
      endedAt: null,
      outcome: 'unknown',
      userId: null,
      note: 'no answer yet',
    };
    this.operations.push(operation);
    return operation;
  }

  settle(operation: Operation, outcome: Outcome, note: string, userId: number | null = null): void {
    operation.endedAt = nowMs();
    operation.outcome = outcome;
    operation.userId = userId;
    operation.note = note;
  }

  addClient(name: string, userId: number | null): ClientRecord {
    const client: ClientRecord = { name, userId, connections: [] };
    this.clients.push(client);
    return client;
  }

  /** One line of JSON per operation and per connection, in the order of time: for a reader with `grep` and `jq`. */
  writeTo(path: string): void {
    const entries: { at: number; line: object }[] = this.operations.map((operation) => ({
      at: operation.startedAt,
      line: { operation },
    }));
    for (const { name, userId, connections } of this.clients) {
      for (const connection of connections) {
        entries.push({ at: connection.startedAt, line: { client: name, userId, connection } });
      }
    }
    entries.sort((a, b) => a.at - b.at);
    writeFileSync(path, entries.map(({ line }) => `${JSON.stringify(line)}\n`).join(''));
  }
}
