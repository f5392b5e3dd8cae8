// If this breaks, two systems write to one database, or one uses the servers of another without knowing.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { readCommandLine } from '../src/process-identity.mjs';
import { createStateDirectory, expectRefusal, startStackProcess } from './fixtures/stack-process.ts';

test('an inner port is taken by a server of the same kind: it is not mistaken for ours', async (t) => {
  const foreign = await startStackProcess(t);
  await foreign.ready();
  const commandLineOf = (name: string): string =>
    readCommandLine(foreign.children().find((child) => child.name === name)?.pid ?? 0) ?? '';
  const postgresPort = / port=(\d+)/.exec(commandLineOf('postgres'))?.[1] ?? '';
  const config = readFileSync(join(foreign.stateDirectory, 'nats/nats-server.conf'), 'utf8');
  const natsPort = /^port: (\d+)$/m.exec(config)?.[1] ?? '';
  const stack = await startStackProcess(t, { env: { POSTGRES_PORT: postgresPort } });
  await expectRefusal(t, stack, new RegExp(`Port ${postgresPort} for PostgreSQL is taken`), /another port/);
  const nats = await startStackProcess(t, { env: { NATS_PORT: natsPort } });
  await expectRefusal(t, nats, new RegExp(`Port ${natsPort} for nats-server is taken`), /another port/);
});

test('another stack runs on the same state', async (t) => {
  const first = await startStackProcess(t);
  await first.ready();
  const second = await startStackProcess(t, { stateDirectory: first.stateDirectory });
  t.equal(await second.ended(), 1);
  t.match(second.output(), new RegExp(`Cause: infraSignal is already running .*process ${first.child.pid}[^]*Cure: .*kill`));
  t.equal((await fetch(`${first.url}/api/`)).status, 200, 'the first one is not disturbed');
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
