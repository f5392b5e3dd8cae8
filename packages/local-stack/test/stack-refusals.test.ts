// If this breaks, a newcomer whose machine is not as expected reads a stack trace instead of a cause and a cure, or
// finds half a system running.
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { findFreePort } from '../src/ports.ts';
import { createStateDirectory, expectRefusal, runReset, startStackProcess } from './fixtures/stack-process.ts';

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

test('the database was made by another version of PostgreSQL', async (t) => {
  const stateDirectory = createStateDirectory(t);
  mkdirSync(join(stateDirectory, 'postgres'));
  writeFileSync(join(stateDirectory, 'postgres/PG_VERSION'), '15\n');
  const stack = await startStackProcess(t, { stateDirectory });
  await expectRefusal(t, stack, /was made by PostgreSQL 15, but this is PostgreSQL 18/, /npm run reset[^]*pg_dump/);
  t.ok(existsSync(join(stateDirectory, 'postgres/PG_VERSION')), 'and it is not touched');
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
