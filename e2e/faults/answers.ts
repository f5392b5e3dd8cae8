import { request } from 'node:http';

export interface Question {
  readonly url: string;
  readonly method?: 'GET' | 'DELETE';
  readonly access?: string;
  /** Longer, and there is no answer. */
  readonly timeoutMs: number;
}

export interface Answer {
  /** Null: there was none in time. */
  readonly status: number | null;
  readonly retryAfter: string | undefined;
  readonly tookMs: number;
}

/** Asks on a connection of its own, and never rejects. */
export function ask({ url, method = 'GET', access, timeoutMs }: Question): Promise<Answer> {
  const startedAt = performance.now();
  const took = (): number => performance.now() - startedAt;
  return new Promise((resolve) => {
    const headers = access === undefined ? {} : { authorization: `Bearer ${access}` };
    const outgoing = request(url, { method, agent: false, headers }, (incoming) => {
      incoming.resume().on('end', () => {
        clearTimeout(timer);
        resolve({ status: incoming.statusCode ?? null, retryAfter: incoming.headers['retry-after'], tookMs: took() });
      });
    });
    const timer = setTimeout(() => outgoing.destroy(new Error('no answer')), timeoutMs);
    outgoing.on('error', () => {
      clearTimeout(timer);
      resolve({ status: null, retryAfter: undefined, tookMs: took() });
    });
    outgoing.end();
  });
}
