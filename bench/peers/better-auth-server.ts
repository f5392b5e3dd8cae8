/**
 * better-auth as its documentation sets it up for production, on PostgreSQL through `pg`, with the hasher of
 * auth-service in place of its own. No limit of requests, as on the other side. Its tables are made by its own migration.
 * Set by DATABASE_URL, DATABASE_POOL_MAX, ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, HOST and PORT.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { hash, verify } from '@node-rs/argon2';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import pg from 'pg';

const { DATABASE_URL, DATABASE_POOL_MAX, ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, HOST = '127.0.0.1', PORT } = process.env;

/** The library's number for Argon2id. */
const ARGON2ID = 2;
const cost = {
  algorithm: ARGON2ID,
  memoryCost: Number(ARGON2_MEMORY_KIB),
  timeCost: Number(ARGON2_ITERATIONS),
  parallelism: 1,
};

const database = new pg.Pool({ connectionString: DATABASE_URL, max: Number(DATABASE_POOL_MAX) });
database.on('error', () => undefined); // the database ends with the run
const baseURL = `http://${HOST}:${PORT}`;
const options = {
  database,
  baseURL,
  secret: 'only for benchmarks, and long enough: 0123456789',
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (password: string) => hash(password, cost),
      verify: (given: { hash: string; password: string }) => verify(given.hash, given.password),
    },
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
};
const { runMigrations } = await getMigrations(options);
await runMigrations();
const auth = betterAuth(options);

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** In place of the library's own adapter for Node, whose answers come in chunks: this one has less to do. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = 'GET', url = '/' } = request;
  const headers = new Headers(request.headers as Record<string, string>);
  const body = method === 'GET' ? {} : { body: new Uint8Array(await readBody(request)) };
  const answered = await auth.handler(new Request(baseURL + url, { method, headers, ...body }));
  const text = Buffer.from(await answered.arrayBuffer());
  response.setHeaders(answered.headers);
  response.writeHead(answered.status, { 'content-length': text.length });
  response.end(text);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    response.writeHead(500).end(String(error));
  });
});
// Fastify's default, which is longer than the rounds of the others: Node's own would close the connections meanwhile.
server.keepAliveTimeout = 72_000;
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  void database.end();
});
server.listen(Number(PORT), HOST);
