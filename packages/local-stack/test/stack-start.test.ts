// If this breaks, `npm start` does not lead a newcomer to a running system, loses their data between two starts, lets
// others read their secrets, or leaves servers running when it ends.
import { readFileSync, statSync } from 'node:fs';
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

  const modeOf = (name: string): string => (statSync(join(stateDirectory, name)).mode & 0o777).toString(8);
  for (const name of ['secrets', 'logs', 'postgres', 'nats']) t.equal(modeOf(name), '700', `${name} is its owner's only`);
  for (const name of ['secret-key', 'postgres-password']) t.equal(modeOf(`secrets/${name}`), '600');

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

test('interrupted while it starts: everything that had begun is ended', async (t) => {
  const stack = await startStackProcess(t);
  await waitFor(() => stack.output().includes('PostgreSQL …'), { description: 'the first step' });
  stack.child.kill('SIGINT');
  t.equal(await stack.ended(), 130);
  t.same(findProcessesOf(stack.stateDirectory), []);
  t.match(stack.output(), 'Interrupted before it was ready');
});
