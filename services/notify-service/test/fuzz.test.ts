/**
 * If this breaks: a few bytes from a stranger take down the node that holds everybody's sockets, make it hang on to
 * memory, or disturb somebody else. FUZZ_CASES=50000 tries more of them.
 */
import {
  complainAbout,
  exchangeRaw,
  fuzz,
  FUZZ_TIMEOUT_MS,
  nearlyValidRequests,
  parseAnswer,
  type RawRequest,
  type RequestDraft,
} from '@infrasignal/testkit/fuzz';
import { waitFor } from '@infrasignal/testkit';
import fc from 'fast-check';
import t from 'tap';
import { startNotify, startWorld } from './support/notify.ts';
import { frame, RawClient, type FrameOptions } from './support/raw-client.ts';
import { connectSocket } from './support/socket-client.ts';

/** What a frame is, before it is bytes. */
interface FrameDraft extends FrameOptions {
  readonly payload: Buffer;
}

interface Stream {
  readonly frames: readonly FrameDraft[];
  /** Of the bytes, so many are sent; the rest never comes. */
  readonly share: number;
  /** Sent behind all that, also after a close. */
  readonly garbage: Uint8Array;
}

const MESSAGES = [
  '{"type":"ping"}', '{"type":"pong"}', '{"type":"auth","access":"a.b.c"}', '{"type":"auth"}', '{"type":"auth","access":7}',
  '{"type":"ping","type":"pong"}', '{"type":["ping"]}', '{"type":"ping","x":"\\ud800"}', '{"type":"__proto__"}',
  '{"__proto__":{"type":"ping"}}', '{"type":"ping","n":1e999}', '[{"type":"ping"}]', '"ping"', 'null', '1', '', ' ', '{',
  '{"type":"subscribe","user_id":"*"}', '{"type":"connected"}', '\ufeff{"type":"ping"}', '{"type":"ping"}\u0000',
  '['.repeat(8_000), `{"type":"auth","access":"${'x'.repeat(16_000)}"}`, `"${'x'.repeat(16_383)}"`,
] as const;

const payloads = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<string>(...MESSAGES).map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }).map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 20_000 }).map((length) => Buffer.alloc(length, 0x20)) },
);

/** Mostly what a client may send; each member wrong now and then. */
const frames: fc.Arbitrary<FrameDraft> = fc
  .record({
    payload: payloads,
    opcode: fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, { weight: 4, arbitrary: fc.integer({ min: 0, max: 15 }) }),
    isFinal: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.boolean() }),
    reserved: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) }),
    isMasked: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.boolean() }),
    length: fc.oneof(
      { weight: 10, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.constantFrom(0, 1, 125, 126, 65_535, 65_536, 17_000_000, 2 ** 40, Number.MAX_SAFE_INTEGER) },
    ),
  })
  .map(({ length, ...draft }) => (length === null ? draft : { ...draft, length }));

const streams: fc.Arbitrary<Stream> = fc.record({
  frames: fc.array(frames, { minLength: 1, maxLength: 6 }),
  share: fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) }),
  garbage: fc.oneof({ weight: 4, arbitrary: fc.constant(new Uint8Array()) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) }),
});

/** RFC 6455's codes for what breaks it, and ours for what breaks the protocol of messages or sends too many. */
const CODES = new Set([1000, 1001, 1002, 1005, 1007, 1008, 1009, 4429, 4500, ...echoable()]);

/** A close frame is answered with its own code, if it is one that clients may send. */
function* echoable(): Generator<number> {
  for (const code of [1003, 1010, 1011, 1012, 1013, 1014]) yield code;
  for (let code = 3000; code < 5000; code += 1) yield code;
}

/** Kept alive by this process for its next request to the service's probes. */
const KEPT = 2;

/** A run of many cases takes as long as it takes. */
t.setTimeout(FUZZ_TIMEOUT_MS);

t.test('R10 the edge of sockets', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world);
  const port = Number(new URL(url).port);
  const token = world.issuer.token(1);
  const witness = await connectSocket(url, { token: world.issuer.token(2) });
  const codes = new Map<string, number>();
  const count = (what: string): void => void codes.set(what, (codes.get(what) ?? 0) + 1);
  const report = (): void => {
    t.comment(JSON.stringify(Object.fromEntries([...codes].sort((a, b) => b[1] - a[1]))));
    codes.clear();
  };

  await t.test('R10 whatever frames come: the right code, or an answer', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
    const isV1s = fc.boolean();
    const tryStream = async ([{ frames, share, garbage }, isV1]: [Stream, boolean]): Promise<void> => {
      const client = await RawClient.open(url, token, { isV1 });
      try {
        const bytes = Buffer.concat(frames.map(({ payload, ...options }) => frame(payload, options)));
        client.socket.write(Buffer.concat([bytes.subarray(0, Math.ceil(share * bytes.length)), garbage]));
        client.socket.end();
        await waitFor(() => client.isClosed, { intervalMs: 1, timeoutMs: 20_000, description: 'the node to let go' });
        const code = client.closeCode;
        count(code === null ? 'ended' : String(code));
        if (code !== null && !CODES.has(code)) throw new Error(`closed with ${code}`);
      } finally {
        client.socket.destroy();
      }
    };
    await fuzz(t, 'frames', { cases: fc.tuple(streams, isV1s), share: 0.5, tryCase: tryStream });
    report();
  });

  await t.test('R3 whatever handshake, event stream or other request comes: refused as a problem, or let in', { timeout: FUZZ_TIMEOUT_MS }, async (t) => {
    const upgrade: readonly (readonly [string, string])[] = [
      ['Host', '127.0.0.1'],
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ['Authorization', `Bearer ${token}`],
    ];
    const own: readonly (readonly [string, string])[] = [['Host', '127.0.0.1'], ['Authorization', `Bearer ${token}`]];
    const cursors = fc.oneof(fc.string({ maxLength: 200 }), fc.constantFrom('0', '-1', 'u1.1.0.0.0', 'a1.0.0', '9'.repeat(30), 'u1.2.1.1.0'));
    const odd = fc.constantFrom<readonly [string, string]>(
      ['Sec-WebSocket-Version', '8'], ['Sec-WebSocket-Key', 'x'], ['Sec-WebSocket-Protocol', 'infrasignal.v1'],
      ['Sec-WebSocket-Protocol', 'infrasignal.v1, bearer.x, ticket.y'], ['Sec-WebSocket-Protocol', ',,'],
      ['Sec-WebSocket-Protocol', 'infrasignal.v1, infrasignal.v1'], ['Sec-WebSocket-Extensions', 'permessage-deflate'],
      ['Sec-WebSocket-Extensions', 'permessage-deflate; server_max_window_bits=99'], ['Sec-WebSocket-Extensions', ';;='],
      ['Upgrade', 'h2c'], ['Upgrade', 'websocket, foo'], ['Connection', 'close'], ['Origin', 'null'], ['Last-Event-ID', '-1'],
      ['Last-Event-ID', 'u1.1.0.0.0'], ['Accept', 'text/event-stream'], ['Content-Length', '5'],
    );
    const target = fc.constantFrom(
      '/ws/notifications/', '/ws/notifications', '/sse/notifications/', '/api/notifications/history/', '/api/presence/1',
      '/ws/asyncapi.json', '/healthz', '/readyz', '/ws/', '/sse/',
    );
    const drafts: fc.Arbitrary<RequestDraft> = fc
      .tuple(target, fc.option(cursors), fc.constantFrom(upgrade, own), fc.array(odd, { maxLength: 2 }))
      .map(([path, after, base, more]) => ({
        method: 'GET',
        target: after === null ? path : `${path}?${new URLSearchParams({ after }).toString()}`,
        headers: [...base.filter(([name]) => !more.some(([other]) => other === name)), ...more],
        body: null,
      }));
    const tryRequest = async (request: RawRequest): Promise<void> => {
      const show = (): string => JSON.stringify(request.bytes.toString('latin1').slice(0, 2_000));
      const { received, isSettled } = await exchangeRaw(port, request);
      const answer = parseAnswer(received, request.isHead);
      count(String(answer?.status ?? (received.length === 0 ? 'ended' : 'cut off')));
      if (!isSettled) throw new Error(`neither answered nor closed: ${show()}`);
      if (answer === null && request.isComplete) throw new Error(`no answer to ${show()}`);
      const complaint = answer === null ? null : complainAbout(answer, request.isHead);
      if (complaint !== null) throw new Error(`${complaint}\nto ${show()}`);
    };
    await fuzz(t, 'requests', { cases: nearlyValidRequests(drafts), share: 0.5, tryCase: tryRequest });
    report();
  });

  await t.test('R10 nobody else noticed, and nothing is left behind', async (t) => {
    const event = await world.publisher.publish(2);
    await waitFor(() => witness.seqs.at(-1) === event.seq, { description: 'the witness to be told' });
    t.equal(witness.closed, null);
    witness.close();
    await waitFor(() => app.hub.size === 0, { timeoutMs: 30_000, description: 'every socket to be forgotten' });
    const countOpen = (): Promise<number> => new Promise((resolve) => app.server.getConnections((_error, open) => resolve(open)));
    await waitFor(async () => (await countOpen()) <= KEPT, { timeoutMs: 30_000, description: 'every connection to be closed' });
  });
});
