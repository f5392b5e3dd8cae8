import type { Account, TestStack } from '@infrasignal/testkit';

/** Longer than any answer takes on the slowest machine. */
const ANSWER_TIMEOUT_MS = 10_000;

/** What was answered and should not have been, in words; none if all is well. */
export type Complaints = string[];

async function ask(method: string, url: string, access: string | null, body?: object): Promise<Response> {
  return fetch(url, {
    method,
    headers: {
      ...(access === null ? {} : { authorization: `Bearer ${access}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
}

/** One session that is used everywhere, as its user would: at every auth-service and every notify-service. */
export class SessionProbe {
  readonly #stack: TestStack;
  #access: string;
  #refresh: string;

  constructor(stack: TestStack, { access, refresh }: Account) {
    this.#stack = stack;
    this.#access = access;
    this.#refresh = refresh;
  }

  /** Refreshes at every auth-service in turn; the token of each has to be good at all of them and at every node. */
  async use(): Promise<Complaints> {
    const complaints: Complaints = [];
    for (const [at, { url }] of this.#stack.auths.entries()) {
      const answer = await ask('POST', `${url}/api/token/refresh/`, null, { refresh: this.#refresh });
      if (answer.status !== 200) {
        complaints.push(`a refresh at auth-service ${at + 1} was answered ${answer.status}`);
        continue;
      }
      const { access, refresh } = (await answer.json()) as { access: string; refresh: string };
      this.#access = access;
      this.#refresh = refresh;
      for (const text of await this.#show(200)) complaints.push(`a token of auth-service ${at + 1}: ${text}`);
    }
    return complaints;
  }

  /** Ends the session. The token that it had is kept, to see whether anybody takes it again. */
  async end(): Promise<void> {
    const answer = await ask('POST', `${this.#stack.auth.url}/api/logout/`, null, { refresh: this.#refresh });
    if (answer.status !== 204) throw new Error(`a logout was answered ${answer.status}`);
  }

  /** Once it ended: nobody may take its token. */
  async checkEnded(): Promise<Complaints> {
    return (await this.#show(401)).map((text) => `a token of a session that ended: ${text}`);
  }

  /** True when every node has heard of its end. */
  async isRefusedEverywhere(): Promise<boolean> {
    return (await this.#show(401)).length === 0;
  }

  async #show(expected: number): Promise<Complaints> {
    const { auths, notifies } = this.#stack;
    const places = [
      ...auths.map(({ url }, at) => ({ name: `auth-service ${at + 1}`, url: `${url}/api/me/` })),
      ...notifies.map(({ url }, at) => ({ name: `notify-service ${at + 1}`, url: `${url}/api/notifications/` })),
    ];
    const complaints: Complaints = [];
    for (const { name, url } of places) {
      const { status } = await ask('GET', url, this.#access);
      if (status !== expected) complaints.push(`${name} answered ${status} instead of ${expected}`);
    }
    return complaints;
  }
}
