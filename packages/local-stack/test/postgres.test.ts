// If this breaks, two servers work on one data directory and destroy it, or a crash needs an expert to start again.
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { test, type Test } from 'tap';
import { identifyProcess, isSameProcessAlive } from '../src/process-identity.mjs';
import { makeDirectoryForPostgres, startPostgres, type RunningPostgres, type StartPostgresOptions } from '../src/postgres.ts';
import { forgetPath, guardPath } from '../src/reaper-client.ts';
import { waitFor } from '../src/wait-for.ts';

function optionsFor(t: Test): StartPostgresOptions {
  const base = mkdtempSync(join(tmpdir(), 'postgres-'));
  chmodSync(base, 0o711);
  guardPath(base);
  const parent = join(base, 'server');
  makeDirectoryForPostgres(parent);
  t.teardown(() => {
    rmSync(base, { recursive: true, force: true });
    forgetPath(base);
  });
  return { dataDirectory: join(parent, 'data'), password: 'pass:word/é', logPath: join(base, 'log'), isDurable: false };
}

async function start(t: Test, options: StartPostgresOptions): Promise<RunningPostgres> {
  const server = await startPostgres(options);
  t.teardown(() => server.stop());
  return server;
}

async function query(server: RunningPostgres, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url() });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

test('SIGKILL and restart on the same port and data', async (t) => {
  const options = optionsFor(t);
  const first = await start(t, options);
  await query(first, 'create table kept (id int)');
  await first.kill();
  await t.rejects(query(first, 'select 1'));
  const second = await start(t, { ...options, port: first.port });
  t.equal(second.url(), first.url());
  t.same(await query(second, 'select * from kept'), []);
  const locale = 'select datlocprovider::text as provider, datlocale as locale, pg_encoding_to_char(encoding) as encoding';
  t.same(await query(second, `${locale} from pg_database where datname = 'postgres'`), [
    { provider: 'b', locale: 'C.UTF-8', encoding: 'UTF8' },
  ]);
  t.equal(statSync(options.dataDirectory).mode & 0o777, 0o700);
});

test('a server that an earlier run left behind is ended in order first', async (t) => {
  const options = optionsFor(t);
  const leftover = await start(t, options);
  let leftovers = 0;
  const server = await start(t, { ...options, onLeftover: () => (leftovers += 1) });
  t.equal(leftovers, 1);
  t.notOk(isSameProcessAlive(leftover.process.identity));
  t.same(await leftover.process.exited, { code: 0, signal: null }, 'by a fast shutdown, not by force');
  t.same(await query(server, 'select 1 as one'), [{ one: 1 }]);
});

test('backends whose server was killed are gone before the next one starts', async (t) => {
  const options = optionsFor(t);
  const first = await start(t, options);
  const busy = query(first, 'select pg_sleep(60)').catch(() => undefined);
  const findBackend = "select pid from pg_stat_activity where state = 'active' and query like '%pg_sleep(60)'";
  const backend = await waitFor(async () => (await query(first, findBackend))[0] as { pid: number } | undefined);
  const identity = identifyProcess(backend.pid);
  process.kill(backend.pid, 'SIGSTOP'); // it will not notice by itself
  await first.kill();
  const second = await start(t, options);
  t.notOk(identity === null || isSameProcessAlive(identity));
  t.same(await query(second, 'select 1 as one'), [{ one: 1 }]);
  await busy;
});

test('an interrupted initdb leaves nothing that looks like a database', async (t) => {
  const options = optionsFor(t);
  const parent = join(options.dataDirectory, '..');
  // What a killed initdb leaves: its draft. And an empty folder where the data belongs.
  makeDirectoryForPostgres(join(parent, '.initdb-1-aaaa'));
  writeFileSync(join(parent, '.initdb-1-aaaa/PG_VERSION'), '18');
  makeDirectoryForPostgres(options.dataDirectory);
  const server = await start(t, options);
  t.same(await query(server, 'select 1 as one'), [{ one: 1 }]);
  t.same(readdirSync(parent).filter((name) => name.startsWith('.initdb') && name !== '.initdb-1-aaaa'), []);
});
