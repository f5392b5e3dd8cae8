// If this breaks, a newcomer whose machine is not as expected reads a stack trace instead of a cause and a cure, or
// finds half a system running.
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { findFreePort } from '../src/ports.ts';
import { createStateDirectory, findProcessesOf, runReset, startStackProcess, type StackProcess } from './fixtures/stack-process.ts';

async function expectRefusal(t: Test, stack: StackProcess, cause: RegExp, cure: RegExp): Promise<void> {
  t.equal(await stack.ended(), 1);
  t.match(stack.output(), new RegExp(`Cause: [^]*${cause.source}[^]*\nCure: [^]*${cure.source}`));
  t.notMatch(stack.output(), /^\s+at .*\.ts:\d+/m, 'no stack trace');
  t.same(findProcessesOf(stack.stateDirectory), [], 'nothing is left running');
}

async function occupy(t: Test, host: string): Promise<number> {
  const server: Server = createServer();
  const port = await findFreePort();
  server.listen({ host, port, ipv6Only: true });
  await once(server, 'listening');
  t.teardown(() => server.close());
  return port;
}

for (const host of ['127.0.0.1', '::1']) {
  test(`the port is taken on ${host}: by whom, and what to do`, async (t) => {
    const port = await occupy(t, host);
    const stack = await startStackProcess(t, { port });
    await expectRefusal(t, stack, new RegExp(`Port ${port} is taken by another program \\(process ${process.pid}`), /--port/);
    t.notOk(existsSync(join(stack.stateDirectory, 'postgres')), 'noticed before anything was made');
  });
}

test('an inner port that is fixed and taken', async (t) => {
  const port = await occupy(t, '127.0.0.1');
  const stack = await startStackProcess(t, { env: { POSTGRES_PORT: String(port) } });
  await expectRefusal(t, stack, new RegExp(`Port ${port} for PostgreSQL is taken`), /another port/);
  const nats = await startStackProcess(t, { env: { NATS_PORT: String(port) } });
  await expectRefusal(t, nats, new RegExp(`Port ${port} for nats-server is taken`), /another port/);
});

test('another stack runs on the same state', async (t) => {
  const first = await startStackProcess(t);
  await first.ready();
  const second = await startStackProcess(t, { stateDirectory: first.stateDirectory });
  t.equal(await second.ended(), 1);
  t.match(second.output(), new RegExp(`Cause: infraSignal is already running .*process ${first.child.pid}[^]*Cure: .*kill`));
  t.equal((await fetch(`${first.url}/api/`)).status, 200, 'the first one is not disturbed');
});

test('the database was made by another version of PostgreSQL', async (t) => {
  const stateDirectory = createStateDirectory(t);
  mkdirSync(join(stateDirectory, 'postgres'));
  writeFileSync(join(stateDirectory, 'postgres/PG_VERSION'), '15\n');
  const stack = await startStackProcess(t, { stateDirectory });
  await expectRefusal(t, stack, /was made by PostgreSQL 15, but this is PostgreSQL 18/, /npm run reset[^]*pg_dump/);
  t.ok(existsSync(join(stateDirectory, 'postgres/PG_VERSION')), 'and it is not touched');
});

test('the password file was lost', async (t) => {
  const stateDirectory = createStateDirectory(t);
  const first = await startStackProcess(t, { stateDirectory });
  await first.ready();
  first.child.kill('SIGTERM');
  await first.ended();
  rmSync(join(stateDirectory, 'secrets/postgres-password'));
  const second = await startStackProcess(t, { stateDirectory });
  await expectRefusal(t, second, /refuses the password/, /npm run reset/);
});

test('no space on the disk', async (t) => {
  const stack = await startStackProcess(t, { env: { MINIMUM_FREE_BYTES: '1e18' } });
  await expectRefusal(t, stack, /Only \d+ MB are free/, /Free at least/);
});

test('NATS_SERVER_BIN names something else', async (t) => {
  const stack = await startStackProcess(t, { env: { NATS_SERVER_BIN: '/bin/true' } });
  await expectRefusal(t, stack, /NATS_SERVER_BIN names \/bin\/true/, /unset it/);
});

test('--state names a folder with other things in it', async (t) => {
  const stateDirectory = createStateDirectory(t);
  writeFileSync(join(stateDirectory, 'thesis.txt'), 'precious');
  chmodSync(stateDirectory, 0o750);
  const stack = await startStackProcess(t, { stateDirectory });
  await expectRefusal(t, stack, /holds other things[^]*thesis\.txt/, /empty/);
  await runReset(stateDirectory);
  t.equal(readFileSync(join(stateDirectory, 'thesis.txt'), 'utf8'), 'precious');
});
