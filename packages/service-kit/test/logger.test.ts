// If this breaks, everybody who may read the logs can read tokens, phone numbers and password hashes.
import Fastify, { type FastifyInstance } from 'fastify';
import { Writable } from 'node:stream';
import t from 'tap';
import { describeError, errorHandlerPlugin, loggingOptions } from '../src/index.ts';

/** What drizzle-orm throws: the values are in the message, in the stack and in a property. */
function failedQuery(): Error {
  const row = 'Failing row contains (1, +33123456789, $argon2id$canary).';
  const cause = Object.assign(new Error('null value in column "email"'), {
    code: '23502',
    table: 'users',
    detail: row,
    where: row,
  });
  const params = ['+33123456789', '$argon2id$canary'];
  const query = 'insert into users values ($1, $2)';
  return Object.assign(new Error(`Failed query: ${query}\nparams: ${params.join(',')}`, { cause }), { query, params });
}

async function start(t: { teardown(handler: () => unknown): unknown }): Promise<[FastifyInstance, () => string]> {
  let text = '';
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk);
      done();
    },
  });
  const { logger, ...options } = loggingOptions('a-service', 'trace');
  const app = Fastify({ ...options, logger: { ...(logger as object), stream } });
  await app.register(errorHandlerPlugin);
  app.get('/ok/*', async () => ({}));
  app.get('/failed', async () => {
    throw failedQuery();
  });
  t.teardown(() => app.close());
  return [app, () => text];
}

t.test('A25 a request is logged by method, path and address', async (t) => {
  const [app, logs] = await start(t);
  const headers = { authorization: 'Bearer canary', cookie: 'session=canary', 'x-request-id': 'canary' };
  for (const path of ['/ok/1?token=canary', '/nowhere?token=canary', '/ok/2?a=1#canary', '/ok/?canary?canary']) {
    await app.inject({ url: path, headers });
  }
  const lines = logs().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(lines[0], { service: 'a-service', pid: process.pid, reqId: /^[0-9a-f-]{36}$/ });
  t.strictSame(lines[0]!.req, { method: 'GET', path: '/ok/1', remoteAddress: '127.0.0.1' });
  t.match(lines[0], { res: { statusCode: 200 }, responseTime: Number, msg: 'request completed' });
  t.equal(lines.length, 4, 'one line each');
  t.equal(new Set(lines.map((line) => line.reqId)).size, 4, 'an id per request, whatever the client sends');
  t.notMatch(logs(), 'canary');
});

t.test('A25 a failed statement is logged without its values', async (t) => {
  const [app, logs] = await start(t);
  const answer = await app.inject('/failed');
  t.equal(answer.statusCode, 500);
  const line = logs().split('\n').find((text) => text.includes('request failed'));
  t.match(JSON.parse(line!), {
    reqId: answer.json<{ request_id: string }>().request_id,
    err: {
      type: 'Error',
      message: 'Failed query',
      query: 'insert into users values ($1, $2)',
      stack: /^\s+at .*logger\.test\.ts/,
      cause: { message: 'null value in column "email"', code: '23502', table: 'users', stack: /^\s+at / },
    },
  });
  t.notMatch(logs(), /canary|\+33123456789/);
});

t.test('errors of every kind can be described', async (t) => {
  t.match(describeError('a text'), { type: 'string', message: 'a text' });
  t.match(describeError(null), { type: 'object', message: 'null' });
  const ring = new Error('ring');
  ring.cause = ring;
  t.equal(JSON.stringify(describeError(ring)).split('"ring"').length - 1, 6, 'a ring of causes ends');
  t.match(describeError(Object.assign(new TypeError('x'), { code: 4, stack: undefined })), { type: 'TypeError', code: 4 });
});
