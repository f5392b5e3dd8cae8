// If this breaks, `npm start` does not lead a newcomer to a running system, loses their data between two starts, lets
// others read their secrets, or leaves servers running when it ends.
import { statSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { test } from 'tap';
import { isSameProcessAlive } from '../src/process-identity.mjs';
import { waitFor } from '../src/wait-for.ts';
import { createStateDirectory, findProcessesOf, startStackProcess, waitUntilGone } from './fixtures/stack-process.ts';

interface Told {
  env: Record<string, string>;
}

async function environmentOf(url: string): Promise<Record<string, string>> {
  const response = await fetch(url);
  return ((await response.json()) as Told).env;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

test('from nothing to ready, through the end, and again with the same data', async (t) => {
  const stateDirectory = createStateDirectory(t);
  const first = await startStackProcess(t, { stateDirectory, env: { DURABLE: '1' } });
  await first.ready();
  const output = first.output();
  t.match(output, `infraSignal is ready: http://localhost:${first.port}/`);
  for (const hint of ['POST /api/register/', 'curl ', 'new WebSocket', `ws://localhost:${first.port}/ws/notifications/`]) {
    t.match(output, hint);
  }
  for (const hint of [stateDirectory, 'Ctrl-C', 'npm run reset']) t.match(output, hint);
  t.notMatch(output, '\u001b', 'no control characters where there is no terminal');
  const order = ['PostgreSQL', 'auth-service', 'notify-service', 'gateway'].map((name) =>
    output.search(new RegExp(`ok  ${name}.*\\(\\d+\\.\\d s\\)`)),
  );
  t.same(order, order.toSorted((a, b) => a - b));
  t.notOk(order.includes(-1), 'each step with the time it took');

  const auth = await environmentOf(`${first.url}/api/env/`);
  t.match(auth, { DEBUG: 'true', HOST: '127.0.0.1', TRUST_PROXY: '1', NATS_URL: /^nats:\/\/127\.0\.0\.1:\d+$/ });
  t.ok((auth.SECRET_KEY ?? '').length >= 32);
  const notify = await environmentOf(`${first.url}/sse/env/`);
  t.match(notify, { DEBUG: 'true', TRUST_PROXY: '1', NATS_URL: auth.NATS_URL });
  t.equal(notify.JWKS_URL, `http://127.0.0.1:${auth.PORT}/.well-known/jwks.json`);
  t.match(notify.ALLOWED_ORIGINS, `http://localhost:${first.port}`);
  t.notOk('SECRET_KEY' in notify || 'DATABASE_URL' in notify, 'no secret where none is needed');

  const databaseUrl = auth.DATABASE_URL ?? '';
  t.same(await query(databaseUrl, 'show data_checksums'), [{ data_checksums: 'on' }]);
  t.same(await query(databaseUrl, 'show fsync'), [{ fsync: 'on' }]);
  t.same(await query(databaseUrl, 'show listen_addresses'), [{ listen_addresses: '127.0.0.1' }]);
  await t.rejects(query(databaseUrl.replace(/:[^:@]+@/, ':wrong@'), 'select 1'), { message: /password/ });
  await query(databaseUrl, 'create table kept (name text)');
  await query(databaseUrl, "insert into kept values ('é')");
  t.match(readFileSync(join(stateDirectory, 'nats/nats-server.conf'), 'utf8'), 'sync_interval: always');

  const children = first.children();
  t.same(children.map(({ name }) => name).sort(), ['auth-service', 'nats-server', 'notify-service', 'postgres']);
  // Ctrl-C reaches the process from the terminal and a second time from npm.
  first.child.kill('SIGINT');
  first.child.kill('SIGINT');
  t.equal(await first.ended(), 0);
  t.notOk(children.some((child) => isSameProcessAlive(child)), 'no child is left when it has ended');
  t.same(findProcessesOf(stateDirectory), []);
  t.notMatch(first.output(), 'Still stopping', 'two signals at once are one press');
  const stops = ['notify-service', 'auth-service', 'nats-server', 'postgres'].map((name) =>
    first.output().indexOf(`ok  stopping ${name}`),
  );
  t.same(stops, stops.toSorted((a, b) => a - b), 'the services end before the servers they use');
  t.match(readFileSync(join(stateDirectory, 'logs/postgres.log'), 'utf8'), 'database system is shut down');

  const second = await startStackProcess(t, { stateDirectory });
  await second.ready();
  const again = await environmentOf(`${second.url}/api/env/`);
  t.equal(again.SECRET_KEY, auth.SECRET_KEY);
  t.same(await query(again.DATABASE_URL ?? '', 'select name from kept'), [{ name: 'é' }]);
  const remaining = second.children();
  second.child.kill('SIGTERM');
  t.equal(await second.ended(), 0);
  await waitUntilGone(remaining);
});

test('secrets are for their owner only', async (t) => {
  const stack = await startStackProcess(t);
  await stack.ready();
  const modeOf = (name: string): string => (statSync(join(stack.stateDirectory, name)).mode & 0o777).toString(8);
  t.equal(modeOf('secrets'), '700');
  t.equal(modeOf('secrets/secret-key'), '600');
  t.equal(modeOf('secrets/postgres-password'), '600');
  t.equal(modeOf('logs'), '700');
  t.equal(modeOf('postgres'), '700');
  t.equal(modeOf('nats'), '700');
});

test('the real environment wins over the defaults, and is told to the services', async (t) => {
  const env = { SECRET_KEY: 'k'.repeat(40), DEBUG: 'false', ALLOWED_ORIGINS: 'https://app.example', HOST: '0.0.0.0', DATABASE_URL: 'postgres://elsewhere' };
  const stack = await startStackProcess(t, { env });
  await stack.ready();
  const auth = await environmentOf(`${stack.url}/api/env/`);
  t.match(auth, { SECRET_KEY: env.SECRET_KEY, DEBUG: 'false', HOST: '127.0.0.1' });
  t.match(auth.DATABASE_URL, '127.0.0.1', 'the stack’s own database, whatever the shell has for other projects');
  t.equal((await environmentOf(`${stack.url}/sse/env/`)).ALLOWED_ORIGINS, 'https://app.example');
  t.match(stack.output(), 'DEBUG is off');
});

test('open sockets hear the services’ last words at the end', async (t) => {
  const stack = await startStackProcess(t);
  await stack.ready();
  const socket = connect(stack.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write('GET /ws/notifications/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await waitFor(() => text.includes('101'), { description: 'the upgrade' });
  stack.child.kill('SIGTERM');
  await waitFor(() => text.endsWith('goodbye'), { description: 'the goodbye' });
  t.equal(await stack.ended(), 0);
});

test('interrupted while it starts: everything that had begun is ended', async (t) => {
  const stack = await startStackProcess(t);
  await waitFor(() => stack.output().includes('PostgreSQL …'), { timeoutMs: 30_000, description: 'the first step' });
  stack.child.kill('SIGINT');
  t.equal(await stack.ended(), 130);
  t.same(findProcessesOf(stack.stateDirectory), []);
  t.match(stack.output(), 'Interrupted before it was ready');
});

test('help, and arguments that make no sense', async (t) => {
  const help = await startStackProcess(t, { args: ['--help'] });
  t.equal(await help.ended(), 0);
  t.match(help.output(), /--port[^]*--verbose[^]*npm run reset/);
  for (const args of [['--prot', '1'], ['--port', '0'], ['--port', '65536'], ['--port', 'http'], ['surplus']]) {
    const wrong = await startStackProcess(t, { args });
    t.equal(await wrong.ended(), 2, args.join(' '));
    t.match(wrong.output(), /Cause: [^]*Cure: /);
  }
});

test('the logs of all parts on the terminal with --verbose', async (t) => {
  const stack = await startStackProcess(t, { args: ['--verbose'] });
  await stack.ready();
  await waitFor(() => /auth-service \| listening[^]*notify-service \| listening/.test(stack.output()), {
    description: 'the logs of the services',
  });
  await waitFor(() => stack.output().includes('nats-server | '), { description: 'the log of nats-server' });
  t.pass();
});
