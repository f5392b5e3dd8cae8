import { SCOPE_BROADCAST_NOTIFICATIONS, SCOPE_SEND_NOTIFICATIONS, type TokenResponse } from '@infrasignal/shared';
import type { FastifyInstance } from 'fastify';
import { loadConfig } from '../../src/config.ts';
import { createFeatures } from '../../src/features.ts';
import { testEnvironment } from '../auth-fixture.ts';
import { createAccount, post, type Answer } from '../requests.ts';
import { examplesOf, type Contract, type Operation } from './contract.ts';

/** An origin that the service allows by default. */
export const ALLOWED_ORIGIN = 'http://localhost:8000';

export type Body = Record<string, unknown>;
export type Security = Operation['security'][number];

/** What stands in a request instead of the example's, because an example cannot be a secret that works. */
export interface Credentials {
  readonly tokens: TokenResponse;
  readonly sessionId: string;
  readonly cookies: Readonly<Record<string, string>>;
  readonly csrfToken: string;
  readonly client: { readonly client_id: string; readonly client_secret: string };
}

export interface OperationCall {
  readonly body?: unknown;
  readonly payload?: string;
  readonly headers?: Record<string, string>;
  readonly cookies?: Record<string, string>;
  readonly parameters?: Record<string, string>;
}

/** A client that knows the service by its document alone. */
export class Caller {
  readonly #app: FastifyInstance;
  readonly #contract: Contract;
  readonly #client: Credentials['client'];

  private constructor(app: FastifyInstance, contract: Contract, client: Credentials['client']) {
    this.#app = app;
    this.#contract = contract;
    this.#client = client;
  }

  static async create(app: FastifyInstance, contract: Contract): Promise<Caller> {
    const config = loadConfig(testEnvironment({ databaseUrl: 'postgres://unused', natsUrl: 'nats://unused' }));
    const nothing = (): void => undefined;
    const hooks = { db: app.db, announceEvent: nothing, broker: null, log: { warn: nothing }, onError: nothing };
    const features = await createFeatures(config, hooks);
    const { clientId, secret } = await features.serviceClients.create('contract-test', []);
    return new Caller(app, contract, { client_id: clientId, client_secret: secret });
  }

  /** The password of the example of a registration: the examples of the other operations go with it. */
  get password(): string {
    return String(this.example(this.#contract.find('register')).password);
  }

  /**
   * A new account with the password of the examples and every scope that a route asks for, and what a client of it
   * holds in either mode.
   */
  async getCredentials(): Promise<Credentials> {
    const { password } = this;
    const account = await createAccount(this.#app, { password });
    const scopes = [SCOPE_SEND_NOTIFICATIONS, SCOPE_BROADCAST_NOTIFICATIONS];
    await this.#app.pool.query('update users set scopes = $1 where id = $2', [scopes, account.user_id]);
    const refreshed = await post(this.#app, '/api/token/refresh/', { refresh: account.refresh });
    const tokens = refreshed.json<TokenResponse>();
    const url = '/api/login/?session=cookie';
    const payload = { phone_number: tokens.phone_number, password };
    const login = await this.#app.inject({ method: 'POST', url, payload, headers: { origin: ALLOWED_ORIGIN } });
    const cookies = Object.fromEntries(login.cookies.map(({ name, value }) => [name, value]));
    const claims = Buffer.from(tokens.access.split('.')[1] ?? '', 'base64url').toString();
    return {
      tokens,
      sessionId: (JSON.parse(claims) as { sid: string }).sid,
      cookies,
      csrfToken: login.json<{ csrf_token: string }>().csrf_token,
      client: this.#client,
    };
  }

  /** The example of an operation's body as it stands in the document. */
  example(operation: Operation): Body {
    const media = operation.requestBody?.content['application/json'];
    const [, value] = (media === undefined ? [] : examplesOf(media))[0] ?? [];
    return { ...(value as Body | undefined) };
  }

  /** The example with secrets that work. */
  exampleFor(operation: Operation, { tokens, client }: Credentials): Body {
    const body = this.example(operation);
    const real: Body = { refresh: tokens.refresh, token: tokens.access, ...client };
    return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, real[name] ?? value]));
  }

  /** The headers and cookies of one documented way in. */
  authorise(way: Security, credentials: Credentials): Pick<OperationCall, 'headers' | 'cookies'> {
    const headers: Record<string, string> = {};
    const cookies: Record<string, string> = {};
    for (const scheme of Object.keys(way)) {
      const { name = '' } = this.#contract.document.components.securitySchemes[scheme] ?? {};
      if (scheme === 'bearer') headers.authorization = `Bearer ${credentials.tokens.access}`;
      else if (scheme === 'csrf') Object.assign(headers, { [name]: credentials.csrfToken, origin: ALLOWED_ORIGIN });
      else cookies[name] = credentials.cookies[name] ?? '';
    }
    return { headers, cookies };
  }

  /** Sends a request to an operation, with its example for each required parameter that is not given. */
  async send(operation: Operation, call: OperationCall = {}): Promise<Answer> {
    const { body, headers = {}, cookies = {}, parameters = {} } = call;
    const payload = call.payload ?? (body === undefined ? undefined : JSON.stringify(body));
    let url = operation.path;
    const query = new URLSearchParams();
    const given: Record<string, string> = {};
    for (const { name, in: place, required, example } of operation.parameters ?? []) {
      const value = parameters[name] ?? (required === true ? String(example) : undefined);
      if (place === 'path') url = url.replace(`{${name}}`, encodeURIComponent(value ?? ''));
      else if (value !== undefined && place === 'header') given[name] = value;
      else if (value !== undefined) query.set(name, value);
    }
    return this.#app.inject({
      method: operation.method,
      url: query.size === 0 ? url : `${url}?${query.toString()}`,
      cookies,
      headers: { ...(payload === undefined ? {} : { 'content-type': 'application/json' }), ...given, ...headers },
      ...(payload === undefined ? {} : { payload }),
    });
  }
}

/** The first documented way in that is not a browser's; what needs nothing is done without anything. */
export function plainWay({ security }: Operation): Security {
  return security.find((way) => Object.keys(way).every((scheme) => scheme === 'bearer')) ?? {};
}
