/**
 * If this breaks: a few bytes from a stranger take down the node that holds everybody's sockets, make it hang on to
 * memory, or disturb somebody else. FUZZ_CASES=50000 tries more of them.
 */
import { parseScrape, waitFor, type TokenIssuer } from '@infrasignal/testkit';
import {
  complainAbout,
  exchangeRaw,
  fuzz,
  fuzzedRequests,
  FUZZ_TIMEOUT_MS,
  LeftAlive,
  parseAnswer,
  type RawRequest,
} from '@infrasignal/testkit/fuzz';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { WebSocketServer } from 'ws';
import { startNotify, startWorld } from '../support/notify.ts';
import { frame } from '../support/raw-client.ts';
import { connectSocket, type SocketClient } from '../support/socket-client.ts';
import { complainAboutBody } from './declared-answers.ts';
import { frameStreams } from './frame-streams.ts';
import { notifyRequests } from './notify-requests.ts';
import { tryFrames } from './try-frames.ts';

/** Kept alive by this process for its next request to the service's probes. */
const KEPT = 2;

/** A connection, its last request and the answer to it, of each that is kept. */
const KEPT_OBJECTS = 3 * KEPT;

/** Room for caches, compiled code and the runner itself; 4 KiB that each case leaves behind are more after 20,000. */
const GROWN_BYTES_MAX = 64 * 1_024 * 1_024;

const STAFF = { claims: { scope: 'notifications:all presence:read' } };

/** Tokens last for minutes, a run for hours. */
const TOKEN_AGE_MS_MAX = 60_000;

/** A run of many cases takes as long as it takes. */
t.setTimeout(FUZZ_TIMEOUT_MS);

t.test('R10 the edge of sockets', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
  const world = await startWorld(t);
  const { issuer, publisher } = world;
  const { url, app } = await startNotify(t, world);
  const port = Number(new URL(url).port);
  const own = new LastingToken(() => issuer.token(1));
  const staff = new LastingToken(() => issuer.token(9, STAFF));
  const witness = await connectWitness(url, issuer);
  const alive = new LeftAlive(app.server);
  app.websocketServer.on('connection', (webSocket) => {
    alive.watch(webSocket);
  });
  const outcomes = new Map<string, number>();
  const count = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const report = (): void => {
    t.comment(JSON.stringify(Object.fromEntries([...outcomes].sort((a, b) => b[1] - a[1]))));
    outcomes.clear();
  };

  await t.test('R10 whatever frames come: exactly the right close code, or every answer', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
    const tryCase = async (stream: Parameters<typeof tryFrames>[2]): Promise<void> => {
      count(await tryFrames(url, own.current, stream));
    };
    await fuzz(t, 'frames', { cases: frameStreams, share: 0.5, tryCase });
    report();
  });

  await t.test('R3 whatever handshake, event stream, page or other request comes: refused as a problem, or as declared', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
    await publisher.publishMany(1, 3);
    await publisher.broadcast();
    const last = await publisher.publish(1);
    await waitFor(() => app.eventConsumer.readThrough >= last.position, { description: 'the events to be read' });
    // A broker's very first node answers 503 until it has made the stream of presence.
    const presence = { url: '/api/presence/1', headers: { authorization: `Bearer ${staff.current}` } };
    await waitFor(async () => (await app.inject(presence)).statusCode === 200, { description: 'presence' });
    const cursors = (await Promise.all([own, staff].map(({ current }) => readCursors(url, current)))).flat();
    const tryCase = async (request: RawRequest): Promise<void> => {
      const bytes = staff.replaceIn(own.replaceIn(request.bytes));
      count(await tryRequest(port, { ...request, bytes }));
    };
    const drafts = notifyRequests({ tokens: [own.first, own.first, staff.first], cursors });
    await fuzz(t, 'requests', { cases: fuzzedRequests(drafts), share: 0.5, tryCase });
    report();
  });

  await t.test('R10 nobody else noticed, and nothing is left behind', async (t) => {
    await expectUndisturbed(witness, (await publisher.publish(2)).seq);
    t.equal(witness.closed, null);
    witness.close();
    await waitFor(() => app.hub.size === 0, { description: 'every socket to be forgotten' });
    const countOpen = (): Promise<number> => new Promise((resolve) => app.server.getConnections((_error, open) => resolve(open)));
    await waitFor(async () => (await countOpen()) <= KEPT, { description: 'every connection to be closed' });
    const metrics = parseScrape((await app.inject('/metrics')).body);
    t.equal(metrics.sum('infrasignal_connections'), 0);
    t.equal(metrics.sum('infrasignal_queue_bytes'), 0);
    t.equal(metrics.sum('infrasignal_connection_closes_total'), app.hub.stats.opened, 'each connection ended once');
    const watched = await alive.settle(KEPT_OBJECTS);
    t.comment(`${watched} objects came and went; ${Math.round(alive.grownBytes / 1_024)} KiB more in use than at first`);
    t.ok(alive.grownBytes < GROWN_BYTES_MAX);
  });
});

t.test('R10 a server that does something else is found', async (t) => {
  // Other limits, another code, and text that nobody reads.
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 125, handleProtocols: () => 'infrasignal.v1' });
  server.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (_data, isBinary) => {
      if (isBinary) socket.close(1003);
      else socket.send('{"type":"hello"}');
    });
  });
  t.teardown(() => {
    server.close();
  });
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const send = (bytes: Buffer): Promise<string> => tryFrames(url, 'no token', { bytes, isV1: false, isPrompt: false });
  t.equal(await send(frame('x', { opcode: 9 })), 'harmless', 'what is right is not complained about');
  t.equal(await send(frame('x', { reserved: 1 })), '1002');
  await t.rejects(send(frame(' '.repeat(126))), { message: /closed with 1009, and not with null/ });
  await t.rejects(send(frame('x', { opcode: 2 })), { message: /closed with 1003, and not with 4500/ });
  await t.rejects(send(frame('x')), { message: /somebody without the subprotocol was told something/ });
});

/** The token that stands in the cases, and the one that is sent in its place. */
class LastingToken {
  readonly first: string;
  readonly #issue: () => string;
  #current: string;
  #issuedAtMs = performance.now();

  constructor(issue: () => string) {
    this.#issue = issue;
    this.first = issue();
    this.#current = this.first;
  }

  get current(): string {
    if (performance.now() - this.#issuedAtMs > TOKEN_AGE_MS_MAX) {
      this.#current = this.#issue();
      this.#issuedAtMs = performance.now();
    }
    return this.#current;
  }

  replaceIn(bytes: Buffer): Buffer {
    return Buffer.from(bytes.toString('latin1').replaceAll(this.first, this.current), 'latin1');
  }
}

/** Somebody else's socket, whose token is renewed for as long as it is open. */
async function connectWitness(url: string, issuer: TokenIssuer): Promise<SocketClient> {
  const issue = (): string => issuer.token(2, { claims: { sid: '5f0c9b1e-0000-4000-8000-000000000002' } });
  const witness = await connectSocket(url, { token: issue() });
  witness.socket.on('message', (data: Buffer) => {
    if (data.includes('token_expiring')) witness.socket.send(JSON.stringify({ type: 'auth', access: issue() }));
  });
  return witness;
}

/** The cursors of somebody's past notifications. */
async function readCursors(url: string, token: string): Promise<string[]> {
  const response = await fetch(`${url}/api/notifications/`, { headers: { authorization: `Bearer ${token}` } });
  const { notifications, cursor } = (await response.json()) as { notifications: { cursor: string }[]; cursor: string };
  return [cursor, ...notifications.map((one) => one.cursor)];
}

/** @returns how it was answered @throws Error when something is wrong with that */
async function tryRequest(port: number, request: RawRequest): Promise<string> {
  const { bytes, isComplete, isHead } = request;
  const show = (): string => JSON.stringify(bytes.toString('latin1').slice(0, 2_000));
  const { received, isSettled } = await exchangeRaw(port, request);
  const answer = parseAnswer(received, isHead);
  if (!isSettled) throw new Error(`neither answered nor closed: ${show()}`);
  if (answer === null) {
    if (isComplete) throw new Error(`no answer to ${show()}`);
    return received.length === 0 ? 'ended' : 'cut off';
  }
  const complaint = complainAbout(answer, isHead) ?? complainAboutBody(bytes, answer, isHead);
  if (complaint !== null) throw new Error(`${complaint}\nto ${show()}`);
  return String(answer.status);
}

async function expectUndisturbed(witness: SocketClient, seq: number): Promise<void> {
  await waitFor(() => witness.seqs.at(-1) === seq, { description: 'the witness to be told' });
}
