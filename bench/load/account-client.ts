import type { TokenResponse } from '@infrasignal/shared';
import type { TestContext } from '@infrasignal/testkit';
import { HttpConnection, type HttpAnswer } from './http-connection.ts';

/** Of every account that a benchmark makes. */
export const PASSWORD = 'correct horse battery staple';

/** So many passwords are hashed at once while a scene is set; more would only queue in the service. */
const SETUP_CONCURRENCY = 8;

/** The requests of a client of auth-service, one after the other on a connection of its own. */
export class AccountClient {
  readonly connection: HttpConnection;

  constructor(connection: HttpConnection) {
    this.connection = connection;
  }

  /** @throws Error unless it succeeded */
  async register(phoneNumber: string): Promise<TokenResponse> {
    const answer = await this.connection.post('/api/register/', { phone_number: phoneNumber, password: PASSWORD });
    return readTokens(answer, 201);
  }

  /** @throws Error unless it succeeded */
  async logIn(phoneNumber: string): Promise<TokenResponse> {
    return readTokens(await this.tryLogIn(phoneNumber), 200);
  }

  /** Whatever the answer is. */
  tryLogIn(phoneNumber: string): Promise<HttpAnswer> {
    return this.connection.post('/api/login/', { phone_number: phoneNumber, password: PASSWORD });
  }

  refresh(token: string): Promise<HttpAnswer> {
    return this.connection.post('/api/token/refresh/', { refresh: token });
  }

  verify(token: string): Promise<HttpAnswer> {
    return this.connection.post('/api/token/verify/', { token });
  }

  /** The account, by an access token. */
  readMe(access: string): Promise<HttpAnswer> {
    return this.connection.get('/api/me/', access);
  }

  logOut(token: string): Promise<HttpAnswer> {
    return this.connection.post('/api/logout/', { refresh: token });
  }

  /** By an access token in the header instead of the refresh token. */
  logOutAsBearer(access: string): Promise<HttpAnswer> {
    return this.connection.post('/api/logout/', {}, access);
  }
}

/** @throws Error with what was answered instead */
export function readTokens(answer: HttpAnswer, expectedStatus = 200): TokenResponse {
  if (answer.status !== expectedStatus) {
    throw new Error(`tokens were expected, but the answer was ${answer.status}: ${answer.body.slice(0, 300)}`);
  }
  return JSON.parse(answer.body) as TokenResponse;
}

/** Clients of the servers at these addresses in turn, closed in the end. */
export async function openClients(t: TestContext, urls: readonly string[], count: number): Promise<AccountClient[]> {
  const connections: HttpConnection[] = [];
  t.teardown(() => {
    for (const connection of connections) connection.close();
  });
  for (let at = 0; at < count; at += 1) connections.push(await HttpConnection.open(urls[at % urls.length] ?? ''));
  return connections.map((connection) => new AccountClient(connection));
}

/** Registers users, each with one session. @returns their tokens, in the order of their numbers */
export async function registerMany(t: TestContext, urls: readonly string[], count: number): Promise<TokenResponse[]> {
  const clients = await openClients(t, urls, Math.min(count, SETUP_CONCURRENCY));
  const tokens: TokenResponse[] = [];
  let next = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (next < count) {
        const at = next++;
        tokens[at] = await client.register(toPhoneNumber(at));
      }
    }),
  );
  for (const { connection } of clients) connection.close();
  return tokens;
}

/** A French mobile number for each user of a run. */
export function toPhoneNumber(at: number): string {
  return `+33612${String(at).padStart(6, '0')}`;
}
