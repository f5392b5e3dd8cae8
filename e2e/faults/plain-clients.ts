import { nowMs, type LedgerEntries, type TestContext, type TestStack } from '@infrasignal/testkit';
import { WebSocket } from 'ws';
import type { Violation } from './checks/evidence.ts';

/** One connection of a client without a subprotocol, from the answer to its handshake to its end. */
interface PlainConnection {
  readonly openedAt: number;
  closedAt: number;
  readonly frames: Readonly<Record<string, unknown>>[];
}

/** An event that the inherited feed knows, as it is stored. */
interface ToldEvent extends Record<string, unknown> {
  readonly userId: number;
  readonly phoneNumber: string;
  readonly type: string;
  readonly eventId: string;
  readonly version: number;
}

/** A time in which sockets without a subprotocol need not be told of versions that are newer than this release's. */
export interface Window {
  readonly from: number;
  readonly until: number;
}

const MESSAGES: Readonly<Record<string, string>> = {
  'user.registered': 'Nouvel utilisateur inscrit',
  'user.login': 'Utilisateur connecté',
};

/**
 * Nodes are not told at the same instant. An event at the edge of a connection may be told to the next one or to none;
 * for how long it waited for a relay does not matter.
 */
const EDGE_MS = 1_500;

/** A node that is being replaced refuses newcomers. */
const RETRY_MS = 100;

/**
 * Clients of the inherited feed: no subprotocol, no cursor, no answer to anything. They come back when they are closed,
 * and keep what they were told.
 */
export class PlainClients {
  readonly #urls: readonly string[];
  readonly #connections: PlainConnection[] = [];
  readonly #sockets = new Set<WebSocket>();
  #isStopped = false;

  constructor(t: TestContext, urls: readonly string[]) {
    this.#urls = urls;
    for (const at of urls.keys()) this.#connect(at);
    t.teardown(() => {
      this.stop();
    });
  }

  get frames(): number {
    return this.#connections.reduce((sum, { frames }) => sum + frames.length, 0);
  }

  stop(): void {
    this.#isStopped = true;
    for (const socket of this.#sockets) socket.terminate();
  }

  /**
   * What they were told against what is stored: each event that they know once, in its form, and nothing else.
   * @param exempt when events of a version that this release does not know may be left out
   */
  async check({ database }: TestStack, { clients }: LedgerEntries, exempt: readonly Window[]): Promise<Violation[]> {
    const toldAt = new Map<unknown, number>();
    for (const { at, body } of clients.flatMap(({ connections }) => connections.flatMap(({ frames }) => frames))) {
      toldAt.set(body.id, Math.min(at, toldAt.get(body.id) ?? Infinity));
    }
    const events = await database.query<ToldEvent>(
      `select user_id::float8 as "userId", payload->>'phone_number' as "phoneNumber", type,
         event_id as "eventId", data_version::int as version
       from (select * from outbox union all select * from deleted_outbox) as events where type = any($1)`,
      [Object.keys(MESSAGES)],
    );
    return this.#connections.flatMap((connection, at) => {
      return checkConnection(`plain connection ${at + 1}`, connection, { events, toldAt, exempt });
    });
  }

  #connect(at: number): void {
    const url = new URL('/ws/notifications/', (this.#urls[at % this.#urls.length] ?? '').replace(/^http/, 'ws'));
    const socket = new WebSocket(url, { perMessageDeflate: false });
    this.#sockets.add(socket);
    socket.on('error', () => undefined); // refused: its end follows
    socket.on('open', () => {
      const connection: PlainConnection = { openedAt: nowMs(), closedAt: Infinity, frames: [] };
      this.#connections.push(connection);
      socket.on('message', (data: Buffer) => {
        connection.frames.push(JSON.parse(data.toString('utf8')) as Record<string, unknown>);
      });
      socket.on('close', () => (connection.closedAt = nowMs()));
    });
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (!this.#isStopped) setTimeout(() => this.#isStopped || this.#connect(at + 1), RETRY_MS);
    });
  }
}

interface Facts {
  readonly events: readonly ToldEvent[];
  /** When the first client of the ledger received an event, by its id. */
  readonly toldAt: ReadonlyMap<unknown, number>;
  readonly exempt: readonly Window[];
}

function checkConnection(
  name: string,
  { openedAt, closedAt, frames }: PlainConnection,
  { events, toldAt, exempt }: Facts,
): Violation[] {
  const told = new Map<string, number>();
  for (const frame of frames) {
    const text = JSON.stringify(frame);
    told.set(text, (told.get(text) ?? 0) + 1);
  }
  const violations: Violation[] = [];
  const possible = new Map<string, number>();
  const due = new Map<string, number>();
  for (const event of events) {
    const at = toldAt.get(event.eventId) ?? Infinity;
    const text = toInherited(event);
    if (at > openedAt - EDGE_MS && at < closedAt + EDGE_MS) possible.set(text, (possible.get(text) ?? 0) + 1);
    const isExempt = event.version > 1 && exempt.some(({ from, until }) => at > from - EDGE_MS && at < until + EDGE_MS);
    const isInside = at > openedAt + EDGE_MS && at < closedAt - EDGE_MS;
    if (isInside && !isExempt) due.set(text, (due.get(text) ?? 0) + 1);
  }
  for (const [text, count] of told) {
    if (count <= (possible.get(text) ?? 0)) continue;
    violations.push({ invariant: 'I3', text: `${name} was told ${count} times: ${text}` });
  }
  for (const [text, count] of due) {
    const missing = count - (told.get(text) ?? 0);
    if (missing <= 0) continue;
    violations.push({ invariant: 'I1', text: `${name} was not told, ${missing} of ${count} times: ${text}` });
  }
  return violations;
}

/** Key for key, in the order of the Django original. */
function toInherited({ type, userId, phoneNumber }: ToldEvent): string {
  const message = MESSAGES[type];
  return JSON.stringify({ type, status: 'success', user_id: userId, phone_number: phoneNumber, message });
}
