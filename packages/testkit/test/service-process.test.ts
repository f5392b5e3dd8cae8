// If this breaks, tests of a service talk to a process that is not ready, not restarted or never ended.
import { execFileSync, spawn } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { identifyProcess, isSameProcessAlive, PROJECT_ROOT, type ProcessIdentity } from '@infrasignal/local-stack';
import { createTestDirectory, runServiceToExit, startServiceProcess, startTestNats, waitFor } from '../src/index.ts';

const entry = new URL('fixtures/hello-service.ts', import.meta.url);

test('a service runs as a process, is ready when it says so, restarts on its port', async (t) => {
  let identity: ProcessIdentity | null = null;
  await t.test('inner', async (inner) => {
    const service = await startServiceProcess(inner, { entry, env: { NAME: 'one' } });
    const hello = async (): Promise<string> => (await fetch(service.url)).text();
    inner.equal(await hello(), 'hello one no tap', 'sees only the environment it is given');
    const firstPid = service.pid;
    await service.kill();
    await inner.rejects(hello());
    await service.restart({ NAME: 'two' });
    inner.not(service.pid, firstPid);
    inner.equal(await hello(), 'hello two no tap');
    inner.same(await service.stop(), { code: 0, signal: null });
    inner.match(service.logs(), /listening[^]*listening[^]*closing/);
    await service.restart();
    identity = identifyProcess(service.pid);
  });
  t.ok(identity);
  t.notOk(identity !== null && isSameProcessAlive(identity), 'ended with the test');
});

test('a service that is built before it starts is the same service', async (t) => {
  const { url: brokerUrl } = await startTestNats(t);
  const env = { NATS_URL: brokerUrl, JWKS_URL: 'http://127.0.0.1:1/nobody-has-keys' };
  const entry = 'services/notify-service/src/server.ts';
  for (const build of ['own', 'whole'] as const) {
    const built = await startServiceProcess(t, { entry, build, env, readyPath: '/healthz' });
    const document = (await (await fetch(`${built.url}/ws/asyncapi.json`)).json()) as { info: { version: string } };
    t.match(document.info.version, /^\d+\.\d+\.\d+$/, `what lies beside its sources is found (${build})`);
    await built.kill();
    await built.restart();
    t.equal((await fetch(`${built.url}/healthz`)).status, 200);
  }
});

test('another process uses what was built, until something that goes into it changes', async (t) => {
  const standIn = join(createTestDirectory(t), 'stand-in.ts');
  const replaced = fileURLToPath(new URL('fixtures/replaced.ts', import.meta.url));
  const builder = new URL('../src/service-build.ts', import.meta.url).href;
  const build = (): string => {
    const options = JSON.stringify({ build: 'own', standIns: { [replaced]: standIn } });
    const source = `import { buildService } from ${JSON.stringify(builder)};
      process.stdout.write(await buildService(${JSON.stringify(fileURLToPath(entry))}, ${options}));`;
    const flags = ['--conditions=@infrasignal/source', '--import', 'tsx', '--input-type=module', '--eval', source];
    return execFileSync(process.execPath, flags, { cwd: PROJECT_ROOT, encoding: 'utf8' });
  };
  writeFileSync(standIn, '// one');
  const first = build();
  const { mtimeMs, ino } = statSync(first);
  t.equal(build(), first);
  t.equal(statSync(first).ino, ino, 'not built again');
  t.ok(statSync(first).mtimeMs >= mtimeMs, 'noted as used');
  writeFileSync(standIn, '// two');
  t.not(build(), first);
});

test('a service that refuses its configuration', async (t) => {
  const exit = await runServiceToExit(t, { entry, env: { WRONG: '1' } });
  t.match(exit, { code: 1, signal: null, logs: /WRONG must not be set/ });
  await t.rejects(startServiceProcess(t, { entry, env: { WRONG: '1' } }), { message: /WRONG must not be set/ });
});

test('nothing is left when the test process itself is killed', async (t) => {
  const script = fileURLToPath(new URL('fixtures/starts-everything.ts', import.meta.url));
  const args = ['--conditions=@infrasignal/source', '--import', 'tsx', script];
  const child = spawn(process.execPath, args, { cwd: PROJECT_ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const pids = await waitFor(() => output.endsWith('\n') && (JSON.parse(output) as number[]), { timeoutMs: 60_000 });
  const identities = pids.map((pid) => identifyProcess(pid));
  t.equal(identities.length, 3);
  t.ok(identities.every((identity) => identity !== null && isSameProcessAlive(identity)));
  child.kill('SIGKILL');
  for (const identity of identities) {
    await waitFor(() => !isSameProcessAlive(identity!), { description: `process ${identity!.pid} to end` });
  }
});
