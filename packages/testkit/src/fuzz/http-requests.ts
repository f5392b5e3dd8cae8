import fc, { type Arbitrary } from 'fast-check';

/** A request before it is bytes. Text is latin1, as it is on the wire. */
export interface RequestDraft {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | null;
}

export interface RawRequest {
  readonly bytes: Buffer;
  /** False: whoever reads it has to wait for more, which never comes. */
  readonly isComplete: boolean;
  readonly isHead: boolean;
}

const METHODS = [
  'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY', 'PURGE', 'M-SEARCH',
] as const;
const NO_METHODS = ['get', 'G\u0000T', 'GETT', '', ' ', 'GET GET', 'PRI', 'é', 'x'.repeat(5_000), 'CONNECT'] as const;

const ODD_SEGMENTS = [
  '%', '%z', '%zz', '%00', '%ff', '%c0%af', '%2e%2e', '%2f', '%25', '..', '.', '//', '\\', ';a=b', '?', '#', '*', '{id}',
  '\u00e9', '\u0000', '\u007f', '\t', '%ed%a0%80', '%F0%9F%98%80', 'x'.repeat(8_000), '%41'.repeat(500),
] as const;

const HEADER_NAMES = [
  'Authorization', 'Cookie', 'Content-Type', 'Content-Encoding', 'Accept', 'Accept-Encoding', 'Origin', 'Host',
  'Idempotency-Key', 'X-CSRF-Token', 'X-Request-Id', 'X-Forwarded-For', 'X-Forwarded-Host', 'If-None-Match', 'Range', 'Expect',
  'Sec-Fetch-Site', 'Last-Event-ID', 'Traceparent', 'Upgrade', 'Connection', 'Trailer', 'TE', 'User-Agent', 'Forwarded',
  'Access-Control-Request-Method', 'Content-Length', 'Transfer-Encoding', '__proto__', 'constructor',
] as const;

const ODD_VALUES = [
  '', ' ', 'null', '0', '-1', '1e999', '99999999999999999999', 'Bearer', 'Bearer ', 'Bearer a.b.c', 'Basic Og==', '*', '*/*',
  'text/plain', 'application/json; charset=utf-16', 'application/json;', 'application/json, text/html', 'multipart/form-data',
  'gzip', 'br, gzip', 'identity', 'chunked', 'gzip, chunked', 'null, null', 'https://evil.example', 'localhost:8000@evil',
  '[::1', '127.0.0.1:99999', '%00', '=', ';', ',', '=;=;', 'a=b; a=c', '"', '\\', '100-continue', '200-ok', 'close, upgrade',
  'h2c', 'websocket', 'bytes=0-', '\u00ff\u00fe', 'x'.repeat(4_000), '00-x', 'for=1;by=2', 'cross-site', '1', '2147483648',
] as const;

const value = fc.oneof(
  fc.constantFrom<string>(...ODD_VALUES),
  fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 }),
);

/** What is sent for a draft, when nothing is wrong with its bytes. */
export function encodeRequest({ method, target, headers, body }: RequestDraft): RawRequest {
  const all = body === null ? headers : [...headers, ['Content-Length', String(body.length)] as const];
  return assemble({ method, target, headers: all, body });
}

function assemble({ method, target, headers, body }: RequestDraft, isComplete = true): RawRequest {
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, text]) => `${name}: ${text}`), '', ''];
  const bytes = Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body ?? Buffer.alloc(0)]);
  return { bytes, isComplete, isHead: method === 'HEAD' };
}

type Mutate = (draft: RequestDraft) => RawRequest;

/** Everything that stays a whole request of HTTP, however odd. */
const oddRequests: Arbitrary<Mutate> = fc.oneof(
  fc.constantFrom<string>(...METHODS).map((method): Mutate => (draft) => encodeRequest({ ...draft, method })),
  fc
    .tuple(fc.constantFrom<string>(...ODD_SEGMENTS), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([segment, where]): Mutate => (draft) => {
      const at = 1 + Math.floor(where * draft.target.length);
      return encodeRequest({ ...draft, target: draft.target.slice(0, at) + segment + draft.target.slice(at) });
    }),
  fc
    .array(fc.tuple(fc.constantFrom<string>(...HEADER_NAMES), value), { minLength: 1, maxLength: 4 })
    .map((more): Mutate => (draft) => encodeRequest({ ...draft, headers: [...draft.headers, ...more] })),
  fc.tuple(fc.constantFrom<string>(...HEADER_NAMES), value).map(
    ([name, text]): Mutate =>
      (draft) => encodeRequest({ ...draft, headers: [...draft.headers.filter(([other]) => other !== name), [name, text]] }),
  ),
  fc.constantFrom<Mutate>(
    (draft) => encodeRequest({ ...draft, headers: draft.headers.filter(([name]) => name !== 'Host') }),
    (draft) => encodeRequest({ ...draft, target: `http://other.example${draft.target}` }),
    (draft) => encodeRequest({ ...draft, headers: [...draft.headers, ['Cookie', 'x=y;'.repeat(2_000)]] }),
    (draft) => encodeRequest({ ...draft, headers: [...draft.headers, ['X-Long', 'x'.repeat(20_000)]] }),
    (draft) => encodeRequest({ ...draft, headers: [...draft.headers, ...Array.from({ length: 3_000 }, () => ['a', 'b'] as const)] }),
  ),
);

/** A body as a client might ruin it; given to the length that it then has. */
const ruinedBodies: Arbitrary<Mutate> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes): Mutate => (draft) => encodeRequest({ ...draft, body: Buffer.from(bytes) })),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.uint8Array({ maxLength: 4 })).map(([where, bytes]): Mutate => (draft) => {
    const body = draft.body ?? Buffer.from('{}');
    const at = Math.floor(where * body.length);
    return encodeRequest({ ...draft, body: Buffer.concat([body.subarray(0, at), Buffer.from(bytes), body.subarray(at + 1)]) });
  }),
  fc.constantFrom(...ruinedTexts()).map((ruin): Mutate => (draft) => {
    return encodeRequest({ ...draft, body: Buffer.from(ruin(draft.body?.toString('utf8') ?? '{}')) });
  }),
);

function ruinedTexts(): ((text: string) => string)[] {
  return [
    (text) => `\ufeff${text}`,
    (text) => text + text,
    (text) => `${text},`,
    (text) => `[${text}]`,
    (text) => text.replace('{', '{"__proto__":{"is_staff":true},'),
    (text) => text.replace(/^\{("[^"]*":)/, '{$1null,$1'), // a member twice
    (text) => text.replace(/:"[^"]*"/, ':1e400'),
    (text) => text.replace(/:"[^"]*"/, ':-0.0000000000000000001'),
    (text) => text.replace(/:"[^"]*"/, `:${'9'.repeat(400)}`),
    (text) => text.replace(/:"[^"]*"/, ':"\\ud800"'),
    (text) => text.replace(/:"[^"]*"/, ':"\\u0000"'),
    (text) => text.replace(/:"[^"]*"/, ':NaN'),
    (text) => text.replace(/:"[^"]*"/, `:${'['.repeat(5_000)}`),
    (text) => text.replace(/:"[^"]*"/, `:${'['.repeat(300)}${']'.repeat(300)}`),
    (text) => text.replace(/:"[^"]*"/, `:"${'x'.repeat(100_000)}"`),
    (text) => text.replaceAll('"', "'"),
    (text) => `/* */${text}`,
    () => '',
    () => ' '.repeat(90_000),
    () => `{${Array.from({ length: 5_000 }, (_, at) => `"k${at}":1`).join(',')}}`,
  ];
}

/** Bytes that are no whole request, or none of HTTP. */
const brokenRequests: Arbitrary<Mutate> = fc.oneof(
  // Cut off anywhere.
  fc.double({ min: 0, max: 1, noNaN: true }).map((share): Mutate => (draft) => {
    const { bytes, isHead } = encodeRequest(draft);
    return { bytes: bytes.subarray(0, Math.floor(share * (bytes.length - 1))), isComplete: false, isHead };
  }),
  // A byte changed, put in or left out in what comes before the body.
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.uint8Array({ maxLength: 3 })).map(([where, put]): Mutate => (draft) => {
    const { bytes, isHead } = encodeRequest(draft);
    const at = Math.floor(where * (bytes.length - (draft.body?.length ?? 0)));
    return { bytes: Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + 1)]), isComplete: false, isHead };
  }),
  fc.constantFrom<string>(...NO_METHODS).map((method): Mutate => (draft) => ({ ...encodeRequest({ ...draft, method }), isComplete: false })),
  // More promised than sent, less, twice, or in another way.
  fc.constantFrom('1000000', '-1', '0x10', '1, 1', '+5', '', '9'.repeat(30), '5 5').map(
    (length): Mutate => (draft) => assemble({ ...draft, headers: [...draft.headers, ['Content-Length', length]] }, false),
  ),
  fc.constantFrom('zz\r\n', '5\r\nab', '-1\r\n\r\n', 'ffffffffffffffff\r\nx', '2;ext="\r\nok\r\n0\r\n\r\n', '2\nok\n0\n\n', '2\r\nokX\r\n0\r\n\r\n', '0\r\nbad trailer\r\n\r\n').map(
    (chunks): Mutate =>
      (draft) => assemble({ ...draft, headers: [...draft.headers, ['Transfer-Encoding', 'chunked']], body: Buffer.from(chunks) }, false),
  ),
  fc.constantFrom<Mutate>(
    (draft) => assemble({ ...draft, headers: [...draft.headers, ['Content-Length', '2'], ['Transfer-Encoding', 'chunked']], body: Buffer.from('0\r\n\r\n') }, false),
    (draft) => ({ ...encodeRequest(draft), bytes: Buffer.from(`${draft.method} ${draft.target}\r\n\r\n`, 'latin1'), isComplete: false }),
    (draft) => ({ ...encodeRequest(draft), bytes: Buffer.from(`${draft.method} ${draft.target} HTTP/9.9\r\nHost: x\r\n\r\n`, 'latin1'), isComplete: false }),
    (draft) => ({ ...encodeRequest(draft), bytes: Buffer.from(encodeRequest(draft).bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'), isComplete: false }),
    () => ({ bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004\u0000\u0000', 'latin1'), isComplete: false, isHead: false }),
    () => ({ bytes: Buffer.from('16030100a5010000a1030352', 'hex'), isComplete: false, isHead: false }),
  ),
  fc.uint8Array({ maxLength: 500 }).map((bytes): Mutate => () => ({ bytes: Buffer.from(bytes), isComplete: false, isHead: false })),
);

/** Requests from valid to hopeless: drafts as they are, and each one change away from one. */
export function fuzzedRequests(drafts: Arbitrary<RequestDraft>): Arbitrary<RawRequest> {
  const mutations = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Mutate>(encodeRequest) },
    { weight: 5, arbitrary: oddRequests },
    { weight: 4, arbitrary: ruinedBodies },
    { weight: 4, arbitrary: brokenRequests },
  );
  return fc.tuple(drafts, mutations).map(([draft, mutate]) => mutate(draft));
}

/** The path that a request asks for, without host, query and slash at its end; null when its first line is not to be read. */
export function pathOf(bytes: Buffer): { readonly method: string; readonly path: string } | null {
  const line = bytes.subarray(0, bytes.indexOf('\n') + 1).toString('latin1');
  const [, method, target] = /^\r?\n?([A-Z-]+) (?:http:\/\/[^/\s]*)?(\/\S*)(?: HTTP\/\d\.\d)?\r?\n$/.exec(line) ?? [];
  if (method === undefined || target === undefined) return null;
  const path = target.split(/[?#]/, 1)[0] ?? '/';
  return { method, path: path.length > 1 ? path.replace(/\/$/, '') : path };
}
