import { Agent, request } from 'node:http';

export interface Question {
  readonly url: string;
  readonly method?: 'GET' | 'DELETE';
  readonly access?: string;
  /** Longer, and there is no answer. */
  readonly timeoutMs: number;
}

export interface Answer {
  /** Null: there was none in time, or none at all. */
  readonly status: number | null;
  /** For people: the status, or why there is none. */
  readonly note: string;
  readonly retryAfter: string | undefined;
  readonly body: string;
  readonly tookMs: number;
}

/**
 * Connections are kept, as a proxy keeps them: Node accepts one new connection in each turn of its loop (libuv 1.45 and
 * later), which on a machine that is far too busy are fewer than would be needed for one per request.
 */
const agent = new Agent({ keepAlive: true, maxFreeSockets: 1_000 });

/** Closes the connections that are kept for the next question. */
export function hangUp(): void {
  agent.destroy();
}

/** Asks, and never rejects. */
export function ask({ url, method = 'GET', access, timeoutMs }: Question): Promise<Answer> {
  const startedAt = performance.now();
  const took = (): number => performance.now() - startedAt;
  return new Promise((resolve) => {
    const headers = access === undefined ? {} : { authorization: `Bearer ${access}` };
    const outgoing = request(url, { method, agent, headers }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (text: string) => (body += text));
      incoming.on('end', () => {
        clearTimeout(timer);
        const { statusCode: status = null } = incoming;
        resolve({ status, note: String(status), retryAfter: incoming.headers['retry-after'], body, tookMs: took() });
      });
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    outgoing.on('error', ({ message }) => {
      clearTimeout(timer);
      resolve({ status: null, note: message, retryAfter: undefined, body: '', tookMs: took() });
    });
    outgoing.end();
  });
}
