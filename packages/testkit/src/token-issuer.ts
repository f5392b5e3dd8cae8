import { findFreePort } from '@infrasignal/local-stack';
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: Record<string, unknown>;
}

function createKey(kid: string): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { kid, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'EdDSA' } };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export interface TokenOptions {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly lifeSeconds?: number;
}

/** Stands for auth-service: signs access tokens, and serves its public keys over real HTTP. */
export class TokenIssuer {
  #keys: SigningKey[] = [createKey('key-1')];
  #server: Server | null = null;
  #port = 0;
  /** Times the key set was asked for. */
  requests = 0;
  /** Replaces the answer of the key endpoint. */
  answer: { status: number; body: string } | null = null;
  /** Further headers of its answers, for instance another `date`. */
  headers: Record<string, string> = {};
  /** Its answers wait for this. */
  answersAfter: Promise<void> = Promise.resolve();

  static async start(t: Teardown): Promise<TokenIssuer> {
    const issuer = new TokenIssuer();
    await issuer.listen();
    t.teardown(() => issuer.close());
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/.well-known/jwks.json`;
  }

  async listen(): Promise<void> {
    // Not one that the kernel gives to others between `close` and `listen`.
    if (this.#port === 0) this.#port = await findFreePort();
    const server = createServer((_request, response) => {
      this.requests += 1;
      const keys = JSON.stringify({ keys: this.#keys.map((key) => key.publicJwk) });
      const { status, body } = this.answer ?? { status: 200, body: keys };
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close', ...this.headers });
      void this.answersAfter.then(() => response.end(body));
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.#port, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  /** A new key signs from now on; the old ones stay published. */
  rotate(): void {
    this.#keys = [createKey(`key-${this.#keys.length + 1}`), ...this.#keys];
  }

  /** A valid access token, but for what the options say. */
  token(userId: number, { claims = {}, header = {}, lifeSeconds = 300 }: TokenOptions = {}): string {
    const [key] = this.#keys;
    if (key === undefined) throw new Error('there is always a key');
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const payload = {
      iss: 'infrasignal',
      sub: String(userId),
      aud: 'infrasignal',
      iat: nowSeconds,
      exp: nowSeconds + lifeSeconds,
      jti: randomUUID(),
      sid: randomUUID(),
      token_type: 'access',
      user_id: userId,
      ...claims,
    };
    const input = `${encode({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid, ...header })}.${encode(payload)}`;
    return `${input}.${sign(null, Buffer.from(input), key.privateKey).toString('base64url')}`;
  }
}
