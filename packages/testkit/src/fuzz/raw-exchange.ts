import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface RawExchange {
  /** Everything that came back. */
  readonly received: Buffer;
  /** False: it was neither answered nor closed within the time. */
  readonly isSettled: boolean;
}

/** Far longer than anything takes that is answered at all, on a machine that is busy with other things. */
const ANSWER_TIMEOUT_MS = 20_000;

/**
 * Sends bytes to a port of this machine, and hangs up when a whole answer has come.
 * @param isComplete false: not all of a request, so that this side is closed at once and the other one has to follow
 * @param isHead true: the answer has no body, whatever its length says
 */
export function exchangeRaw(
  port: number,
  { bytes, isComplete, isHead = false }: { bytes: Uint8Array; isComplete: boolean; isHead?: boolean },
): Promise<RawExchange> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const settle = (isSettled: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ received: Buffer.concat(chunks), isSettled });
    };
    const timer = setTimeout(() => {
      settle(false);
    }, ANSWER_TIMEOUT_MS);
    socket.on('error', () => undefined); // a reset is an end like any other
    socket.on('close', () => {
      settle(true);
    });
    socket.on('end', () => {
      settle(true);
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (isComplete && parseAnswer(Buffer.concat(chunks), isHead) !== null) settle(true);
    });
    if (isComplete) socket.write(bytes);
    else socket.end(bytes);
  });
}

/** The first final answer (not a 1xx), or null while it is not whole. @throws Error when it is no HTTP */
export function parseAnswer(received: Buffer, isHead = false): RawAnswer | null {
  const text = received.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})( |$)/.exec(first)?.[1] ?? NaN);
  if (Number.isNaN(status)) throw new Error(`no HTTP answer: ${first.slice(0, 200)}`);
  if (status >= 100 && status < 200 && status !== 101) return parseAnswer(received.subarray(end + 4), isHead);
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  const rest = received.subarray(end + 4);
  const bodyless = isHead || status === 101 || status === 204 || status === 304;
  const body = bodyless ? Buffer.alloc(0) : takeBody(rest, headers);
  return body === null ? null : { status, headers, body: body.toString('utf8') };
}

/** The body as far as it is known to be whole; null: more has to come. */
function takeBody(rest: Buffer, headers: ReadonlyMap<string, string>): Buffer | null {
  if (headers.get('transfer-encoding') === 'chunked') {
    const { body, isEnded } = joinChunks(rest);
    // An event stream never ends: its first event says enough.
    const isStream = headers.get('content-type')?.startsWith('text/event-stream') === true;
    return isEnded || (isStream && body.includes('\ndata: ') && body.includes('\n\n')) ? body : null;
  }
  const length = Number(headers.get('content-length') ?? NaN);
  if (Number.isNaN(length)) return rest; // until the connection ends
  return rest.length >= length ? rest.subarray(0, length) : null;
}

/** RFC 9112 section 7.1, without trailers. */
function joinChunks(rest: Buffer): { body: Buffer; isEnded: boolean } {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = rest.indexOf('\r\n', at);
    const length = lineEnd < 0 ? NaN : Number.parseInt(rest.subarray(at, lineEnd).toString('latin1'), 16);
    const isWhole = rest.length >= lineEnd + 2 + length + 2;
    if (Number.isNaN(length) || !isWhole || length === 0) return { body: Buffer.concat(chunks), isEnded: length === 0 && isWhole };
    chunks.push(rest.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}

/** What a refusal of that status must bring along (RFC 9110 sections 15.5.2, 15.5.6, 10.2.3; RFC 6585 section 4). */
const HEADER_BY_STATUS: ReadonlyMap<number, string> = new Map([
  [401, 'www-authenticate'],
  [405, 'allow'],
  [429, 'retry-after'],
  [503, 'retry-after'],
]);

/** What is wrong with an answer to whatever was asked: a 5xx, or a refusal that is no problem document; null: nothing. */
export function complainAbout({ status, headers, body }: RawAnswer, isHead = false): string | null {
  if (status >= 500) return `answered ${status}: ${body.slice(0, 500)}`;
  if (status < 400) return null;
  const contentType = headers.get('content-type') ?? '';
  if (contentType !== 'application/problem+json; charset=utf-8') return `answered ${status} as ${contentType || 'nothing'}: ${body.slice(0, 200)}`;
  const needed = HEADER_BY_STATUS.get(status);
  if (needed !== undefined && !headers.has(needed)) return `answered ${status} without ${needed}`;
  if (headers.get('cache-control') !== 'no-store') return `answered ${status} for caches to keep`;
  if (isHead) return null;
  const problem = JSON.parse(body) as { status?: unknown; code?: unknown; type?: unknown };
  const isItsOwn = problem.status === status && problem.type === `urn:infrasignal:error:${String(problem.code)}`;
  return isItsOwn ? null : `answered ${status} with another problem: ${body}`;
}
