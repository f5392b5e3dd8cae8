import type { TokenResponse } from '@infrasignal/shared';
import { Agent, request } from 'node:http';
import type { Ledger, Operation } from './ledger.ts';

/** What a registration or login gave. */
export interface Account {
  readonly userId: number;
  readonly access: string;
  readonly refresh: string;
  readonly phoneNumber: string;
}

export interface AccountApiOptions {
  /** Addresses of the auth instances (or of a gateway), asked in turn; one that refuses the connection is passed over. */
  readonly urls: readonly string[];
  readonly ledger: Ledger;
}

/** Longer than every limit inside the service: an answer that takes this long never comes. */
const ANSWER_TIMEOUT_MS = 15_000;

/** Connections kept open by the client; a browser or a proxy has as many. */
const SOCKETS_MAX = 64;

/** Refused before a byte was sent: certainly not carried out. Everything else that breaks off leaves a doubt. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EADDRNOTAVAIL']);

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Registers and logs in over HTTP, as a client would, and writes every request and its outcome into the ledger. */
export class AccountApi {
  readonly #options: AccountApiOptions;
  #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  #turn = 0;
  #takenOut: ReadonlySet<string> = new Set();

  constructor(options: AccountApiOptions) {
    this.#options = options;
  }

  /** @returns null unless it is known to have been carried out */
  register(phoneNumber: string, password: string): Promise<Account | null> {
    return this.#perform('register', { phone_number: phoneNumber, password });
  }

  /** @returns null unless it is known to have been carried out */
  logIn(phoneNumber: string, password: string): Promise<Account | null> {
    return this.#perform('login', { phone_number: phoneNumber, password });
  }

  /** From now on these instances get no new request: what a load balancer does with those that fail its checks. */
  takeOut(urls: readonly string[]): void {
    this.#takenOut = new Set(urls);
  }

  /** Closes the connections that are kept for the next request. */
  closeIdle(): void {
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  }

  async #perform(kind: Operation['kind'], body: { phone_number: string; password: string }): Promise<Account | null> {
    const { ledger } = this.#options;
    const urls = this.#options.urls.filter((url) => !this.#takenOut.has(url));
    const operation = ledger.begin(kind, body.phone_number);
    try {
      const answer = await this.#postToSome(urls, urls.length, `/api/${kind}/`, JSON.stringify(body));
      if (answer.status === (kind === 'register' ? 201 : 200)) {
        const { user_id: userId, access, refresh, phone_number } = JSON.parse(answer.body) as TokenResponse;
        ledger.settle(operation, 'ok', String(answer.status), userId);
        return { userId, access, refresh, phoneNumber: phone_number };
      }
      // A 4xx is a decision. After a 5xx nobody can say what the database made of the statement.
      const outcome = answer.status >= 400 && answer.status < 500 ? 'fail' : 'unknown';
      ledger.settle(operation, outcome, `${answer.status} ${answer.body.slice(0, 200)}`);
    } catch (error) {
      const code = codeOf(error);
      ledger.settle(operation, NEVER_SENT.has(code) ? 'fail' : 'unknown', code);
    }
    return null;
  }

  /** What a load balancer does: nothing was sent to an instance that refuses the connection, so the next one is asked. */
  async #postToSome(urls: readonly string[], attempts: number, path: string, body: string): Promise<Answer> {
    const base = urls[this.#turn++ % urls.length] ?? '';
    try {
      return await this.#post(new URL(path, base), body);
    } catch (error) {
      if (attempts <= 1 || !NEVER_SENT.has(codeOf(error))) throw error;
      return this.#postToSome(urls, attempts - 1, path, body);
    }
  }

  #post(url: URL, body: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        {
          method: 'POST',
          agent: this.#agent,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
          timeout: ANSWER_TIMEOUT_MS,
        },
        (incoming) => {
          let text = '';
          incoming.setEncoding('utf8');
          incoming.on('data', (chunk: string) => (text += chunk));
          incoming.on('end', () => {
            resolve({ status: incoming.statusCode ?? 0, body: text });
          });
          incoming.on('error', reject);
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
