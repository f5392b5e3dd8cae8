// If this breaks, a crowd at the door (or one stranger with a script) keeps everybody out: each login waits for all the
// others, the probes fail, the orchestrator restarts the service, and the crowd is still there.
import { startServiceProcess, startTestNats, waitFor, type TestDatabase } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { constants, getPriority } from 'node:os';
import pg from 'pg';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { hashConcurrencyOf } from '../../src/features.ts';
import { createAuthDatabase, GOOD_PASSWORD, startAuth, testEnvironment, type TestContext } from '../auth-fixture.ts';
import { countHashes } from '../hash-counter.ts';
import { AUTH_ENTRY } from '../process/service.ts';
import { createAccount, logIn, nextNumber, post, problemOf, type Answer } from '../requests.ts';

interface Timed {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** From the request to the end of the answer. */
  readonly ms: number;
  readonly endedAt: number;
}

function send(url: string, agent: Agent, body?: object): Promise<Timed> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request(url, { agent, method: body === undefined ? 'GET' : 'POST', headers }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.on('error', reject).on('end', () => {
        const endedAt = performance.now();
        const { statusCode: status = 0, headers: answered } = incoming;
        resolve({ status, headers: answered, body: text, ms: endedAt - startedAt, endedAt });
      });
    });
    outgoing.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Whether there is a place, asked with a body that is refused before it takes one: 400, or 503 without a place. */
function probe(app: FastifyInstance): Promise<Answer> {
  return post(app, '/api/login/', '[]');
}

/** Holds every login back in the database, where it has its place already, until released. */
async function holdLogins(t: TestContext, database: TestDatabase): Promise<() => Promise<unknown>> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined); // the database is dropped with the test
  await client.connect();
  t.teardown(() => client.end());
  await client.query('begin');
  await client.query('lock table login_failures in access exclusive mode');
  return () => client.query('commit');
}

/** How many logins are held. */
async function countHeld(database: TestDatabase): Promise<number> {
  const held = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  return (await database.query(held)).length;
}

interface QueryCounter {
  /** Counts what is asked for within, and nothing of what the service does besides. */
  count<Result>(ask: () => Promise<Result>): Promise<Result>;
  /** Connections to the database that were asked for since the last call: each query needs one. */
  take(): number;
}

function countQueries({ pool }: FastifyInstance): QueryCounter {
  const counted = new AsyncLocalStorage<true>();
  let queries = 0;
  const original = pool.connect.bind(pool);
  pool.connect = ((...args: Parameters<typeof original>) => {
    if (counted.getStore() === true) queries += 1;
    return original(...args);
  }) as typeof original;
  return {
    count: (ask) => counted.run(true, ask),
    take: () => {
      const taken = queries;
      queries = 0;
      return taken;
    },
  };
}

/** How nice each thread of a process is (proc_pid_stat(5), the 19th field), by its id. */
function readNiceness(pid: number): Map<number, number> {
  return new Map(
    readdirSync(`/proc/${pid}/task`).map((thread) => {
      const [, fields = ''] = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ');
      return [Number(thread), Number(fields.split(' ')[16])];
    }),
  );
}

/** Peak resident memory of a process, in MiB. */
function readPeakMib(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Hashes at once, in the storm. */
const CONCURRENCY = 2;

t.test('A14 200 logins at once: some get in, the others are told at once, and the service stays well', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const cost = { ARGON2_MEMORY_KIB: '19456', ARGON2_ITERATIONS: '4' };
  const env = {
    ...testEnvironment({ databaseUrl: database.url, natsUrl: nats.url }),
    ...cost,
    HASH_CONCURRENCY: String(CONCURRENCY),
    HASH_WAITING_MAX: '30',
    HASH_WAIT_MS_MAX: '60000',
    UV_THREADPOOL_SIZE: '16',
  };
  const service = await startServiceProcess(t, { entry: AUTH_ENTRY, env });
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => {
    agent.destroy();
  });
  const account = { phone_number: '0123456789', password: GOOD_PASSWORD };
  t.equal((await send(`${service.url}/api/register/`, agent, account)).status, 201);
  const before = readPeakMib(service.pid);
  const niceness = readNiceness(service.pid);
  const ofEventLoop = niceness.get(service.pid) ?? NaN;
  const lower = [...niceness.values()].filter((value) => value > ofEventLoop);
  // There is nothing lower where the tests themselves run as low as it gets.
  const canBeLower = getPriority() < constants.priority.PRIORITY_LOW;
  const expected = canBeLower ? Number(env.UV_THREADPOOL_SIZE) : 0;
  t.equal(lower.length, expected, 'every thread that hashes lets the event loop go first');

  const healthMs: number[] = [];
  let isOver = false;
  const watch = async (): Promise<void> => {
    while (!isOver) {
      const { status, ms } = await send(`${service.url}/healthz`, agent);
      t.equal(status, 200);
      healthMs.push(ms);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const startedAt = performance.now();
  const storm = Array.from({ length: 200 }, () => send(`${service.url}/api/login/`, agent, account));
  const watching = watch();
  const answers = await Promise.all(storm);
  isOver = true;
  await watching;

  const accepted = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 503);
  t.equal(accepted.length + refused.length, 200, 'nobody gets anything else');
  t.ok(accepted.length >= 32, `${accepted.length} got in: whoever had a place`);
  t.ok(refused.length >= 50, `${refused.length} had none`);
  for (const { headers, body } of refused) {
    t.match(headers['retry-after'], /^[1-5]$/);
    t.match(JSON.parse(body), { code: 'service_unavailable', status: 503 });
  }
  const lastAccepted = Math.max(...accepted.map(({ endedAt }) => endedAt));
  t.ok(refused.every(({ endedAt }) => endedAt < lastAccepted), 'no refusal waited for the end of the queue');
  t.ok(median(refused.map(({ ms }) => ms)) < median(accepted.map(({ ms }) => ms)), 'they came first');
  // A probe that waited for hashes would take as long as one; a machine that is busy otherwise slows both.
  const hashMs = ((lastAccepted - startedAt) * CONCURRENCY) / accepted.length;
  const healthText = `${healthMs.length} times, ${median(healthMs).toFixed(1)} ms in the middle`;
  t.ok(median(healthMs) < hashMs / 2, `/healthz: ${healthText}; a hash took ${hashMs.toFixed(1)} ms`);
  t.comment(`/healthz took ${Math.max(...healthMs).toFixed(1)} ms at the most`);
  const grown = readPeakMib(service.pid) - before;
  t.ok(grown < 150, `${grown.toFixed(0)} MiB more at the peak; 200 hashes at once take 3,800`);

  await waitFor(async () => (await send(`${service.url}/api/login/`, agent, account)).status === 200, {
    timeoutMs: 60_000,
    description: 'everything to be as before',
  });
});

t.test('A14 who is refused costs no hash and no query, and is told the same whoever they are', async (t) => {
  const { app, database } = await startAuth(t, { HASH_CONCURRENCY: '1', HASH_WAITING_MAX: '1' });
  const hashes = countHashes(t);
  const queries = countQueries(app);
  const { phone_number: known, access } = await queries.count(() => createAccount(app));
  t.ok(queries.take() > 0, 'what is not refused asks the database');
  const unknown = nextNumber();
  const release = await holdLogins(t, database);
  const taken = [known, unknown].map((phone_number) => logIn(app, { phone_number, password: 'not the password' }));
  await waitFor(async () => (await countHeld(database)) === taken.length, { description: 'both to be held' });
  t.equal((await probe(app)).statusCode, 503, 'both places are taken');

  hashes.take();
  const refused: Answer[] = [];
  await queries.count(async () => {
    for (const phone_number of [known, unknown, known, unknown]) {
      refused.push(await logIn(app, { phone_number, password: GOOD_PASSWORD }));
    }
    refused.push(await post(app, '/api/register/', { phone_number: nextNumber(), password: GOOD_PASSWORD }));
    refused.push(await post(app, '/api/login/', '{"half": '));
  });
  t.equal(queries.take(), 0);
  t.equal(hashes.take(), 0);
  const authorization = `Bearer ${access}`;
  const passwords = { current_password: GOOD_PASSWORD, new_password: `${GOOD_PASSWORD} again` };
  refused.push(await post(app, '/api/password/change/', passwords, { authorization }));
  refused.push(
    await app.inject({ method: 'DELETE', url: '/api/me/', headers: { authorization }, payload: { current_password: 'x' } }),
    await app.inject({
      method: 'PATCH',
      url: '/api/me/',
      headers: { authorization },
      payload: { current_password: 'x', email: null },
    }),
  );
  for (const answer of refused) {
    const { request_id: requestId, instance, ...problem } = problemOf(answer);
    t.equal(answer.statusCode, 503, instance);
    t.match(answer.headers['retry-after'], /^[1-5]$/);
    t.equal(answer.headers['cache-control'], 'no-store');
    t.ok(requestId);
    t.same(Object.keys(problem).sort(), ['code', 'detail', 'status', 'title', 'type']);
  }
  t.equal(hashes.take(), 0);
  t.equal((await app.inject('/api/me/')).statusCode, 401, 'what hashes nothing is answered as ever');
  await release();
  t.same((await Promise.all(taken)).map(({ statusCode }) => statusCode), [401, 401], 'whoever had a place is served');
});

t.test('A14 for a client that hangs up while it waits nothing is hashed, and its place is free', async (t) => {
  const { app, database } = await startAuth(t, { HASH_CONCURRENCY: '1', HASH_WAITING_MAX: '1' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const hashes = countHashes(t);
  const { phone_number } = await createAccount(app);
  const release = await holdLogins(t, database);
  hashes.take();
  const earlier = logIn(app, { phone_number, password: GOOD_PASSWORD });
  t.equal((await probe(app)).statusCode, 400, 'one place is left');

  const body = JSON.stringify({ phone_number, password: GOOD_PASSWORD });
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  const head = `POST /api/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;
  socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  await waitFor(async () => (await probe(app)).statusCode === 503, { description: 'its login to have the last place' });
  socket.destroy();
  await waitFor(async () => (await probe(app)).statusCode === 400, { description: 'the place to be free again' });
  await release();
  t.equal((await earlier).statusCode, 200);
  t.equal((await logIn(app, { phone_number, password: GOOD_PASSWORD })).statusCode, 200);
  t.equal(hashes.take(), 2, 'all but the one that hung up');
});

t.test('A14 at least two threads of the pool are free of hashes', async (t) => {
  const servers = { databaseUrl: 'postgres://localhost/x', natsUrl: 'nats://localhost' };
  const possible = (environment: Record<string, string>): number =>
    hashConcurrencyOf(loadConfig({ ...testEnvironment(servers), ...environment })).possible;
  t.equal(possible({ HASH_CONCURRENCY: '16' }), 2, 'of Node’s four threads');
  t.equal(possible({ HASH_CONCURRENCY: '16', UV_THREADPOOL_SIZE: '64' }), 16);
  t.equal(possible({ HASH_CONCURRENCY: '16', UV_THREADPOOL_SIZE: '10' }), 8);
  t.equal(possible({ HASH_CONCURRENCY: '1', UV_THREADPOOL_SIZE: '64' }), 1);
});
