import { type RequestDraft } from '@infrasignal/testkit/fuzz';
import fc, { type Arbitrary } from 'fast-check';

type Header = readonly [name: string, value: string];

const UPGRADE: readonly Header[] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
];

const ODD_HEADERS: readonly Header[] = [
  ['Sec-WebSocket-Version', '8'], ['Sec-WebSocket-Key', 'x'], ['Sec-WebSocket-Protocol', 'infrasignal.v1'],
  ['Sec-WebSocket-Protocol', 'infrasignal.v1, bearer.x, ticket.y'], ['Sec-WebSocket-Protocol', ',,'],
  ['Sec-WebSocket-Protocol', 'infrasignal.v1, infrasignal.v1'], ['Sec-WebSocket-Extensions', 'permessage-deflate'],
  ['Sec-WebSocket-Extensions', 'permessage-deflate; server_max_window_bits=99'], ['Sec-WebSocket-Extensions', ';;='],
  ['Upgrade', 'h2c'], ['Upgrade', 'websocket, foo'], ['Connection', 'close'], ['Origin', 'null'],
  ['Accept', 'text/event-stream'], ['Accept', 'text/event-stream;q=0'], ['Accept', 'application/json'], ['Content-Length', '5'],
];

/** Whose requests they are, and what they may come with. */
export interface Known {
  /** Access tokens that work. */
  readonly tokens: readonly string[];
  /** Cursors that were given out, of one's own events and of the feed of everything. */
  readonly cursors: readonly string[];
}

/** From the user's own to what nobody was ever given. */
function cursorsFrom(known: readonly string[]): Arbitrary<string> {
  const given = fc.constantFrom(...known);
  const digits = fc.constantFrom('0', '1', '9', '-', '.', 'u', 'a', '', ' ', '9'.repeat(20));
  return fc.oneof(
    { weight: 3, arbitrary: given },
    // One character of a real one is another.
    {
      weight: 3,
      arbitrary: fc.tuple(given, fc.double({ min: 0, max: 1, noNaN: true }), digits).map(([cursor, where, put]) => {
        const at = Math.floor(where * cursor.length);
        return cursor.slice(0, at) + put + cursor.slice(at + 1);
      }),
    },
    { weight: 2, arbitrary: fc.constantFrom('0', '1', '2', '-1', '1e1', 'u1.1.0.0.0', 'a1.0.0', '9'.repeat(30), 'u1.2.1.1.0', '9007199254740993', '*', '>') },
    { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
  );
}

const limits = fc.oneof(
  fc.constantFrom('1', '2', '100', '50'),
  fc.constantFrom('0', '101', '-1', '1.5', '1e2', '', ' 1', '0x10', '999999999999', '١', 'null', '2&limit=3'),
  fc.string({ maxLength: 10 }),
);

const userIds = fc.oneof(
  fc.constantFrom('1', '2', '77'),
  fc.constantFrom('0', '-1', '01', '1.0', '9007199254740991', '9007199254740992', '9'.repeat(40), '*', '%3e', 'me', '1%00'),
  fc.string({ maxLength: 20 }).map(encodeURIComponent),
);

function withQuery(path: string, parameters: Readonly<Record<string, string | null>>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== null);
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
}

/** Requests that a node answers with a socket, a stream or a page, or nearly so. */
export function notifyRequests({ tokens, cursors }: Known): Arbitrary<RequestDraft> {
  const after = fc.option(cursorsFrom(cursors));
  const slash = fc.constantFrom('', '/');
  const authorization = fc.constantFrom(...tokens).map((token): Header => ['Authorization', `Bearer ${token}`]);
  const sockets = fc.tuple(slash, after, fc.constantFrom([], [['Sec-WebSocket-Protocol', 'infrasignal.v1']] as Header[])).map(
    ([end, after, protocols]) => ({ target: withQuery(`/ws/notifications${end}`, { after }), headers: [...UPGRADE, ...protocols] }),
  );
  const streams = fc.tuple(slash, after, fc.option(cursorsFrom(cursors))).map(([end, after, lastEventId]) => ({
    target: withQuery(`/sse/notifications${end}`, { after }),
    headers: lastEventId === null ? [] : [['Last-Event-ID', lastEventId.replaceAll(/[^\x20-\x7e]/g, '?')] as Header],
  }));
  const pages = fc.tuple(slash, after, fc.option(limits), fc.constantFrom(null, null, null, 'x')).map(
    ([end, after, limit, unknown]) => ({ target: withQuery(`/api/notifications${end}`, { after, limit, unknown }), headers: [] }),
  );
  const presence = fc.tuple(slash, userIds).map(([end, id]) => ({ target: `/api/presence/${id}${end}`, headers: [] }));
  const others = fc
    .constantFrom('/ws/asyncapi.json', '/healthz', '/readyz', '/metrics', '/ws/', '/sse/', '/api/', '/')
    .map((target) => ({ target, headers: [] }));
  const routes: Arbitrary<{ target: string; headers: readonly Header[] }> = fc.oneof(
    { weight: 4, arbitrary: sockets },
    { weight: 3, arbitrary: streams },
    { weight: 3, arbitrary: pages },
    { weight: 1, arbitrary: presence },
    { weight: 1, arbitrary: others },
  );
  const odd = fc.oneof(fc.constant([]), fc.array(fc.constantFrom(...ODD_HEADERS), { maxLength: 2 }));
  return fc.tuple(routes, authorization, odd).map(([{ target, headers }, token, more]) => {
    const base: readonly Header[] = [['Host', '127.0.0.1'], token, ...headers];
    const names = new Set(more.map(([name]) => name));
    return { method: 'GET', target, headers: [...base.filter(([name]) => !names.has(name)), ...more], body: null };
  });
}
