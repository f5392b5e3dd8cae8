import { findFreePort, findNatsBinary, startManagedProcess, PROJECT_ROOT, waitFor } from '@infrasignal/local-stack';
import { createTestDirectory, type TestContext, type TestNats } from '@infrasignal/testkit';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const PASSWORDS = { auth: 'only for tests: auth-service', notify: 'only for tests: notify-service' };

/**
 * nats-server with the very files of deploy/nats: only where it listens and stores is the test's.
 * @param local what stands in local.conf
 */
export async function startConfiguredNats(t: TestContext, local = ''): Promise<TestNats> {
  const directory = createTestDirectory(t, 'infrasignal-deploy-nats-');
  cpSync(join(PROJECT_ROOT, 'deploy/nats'), directory, { recursive: true });
  writeFileSync(
    join(directory, 'passwords.conf'),
    `AUTH_SERVICE_PASSWORD: "${PASSWORDS.auth}"\nNOTIFY_SERVICE_PASSWORD: "${PASSWORDS.notify}"\n`,
  );
  writeFileSync(join(directory, 'local.conf'), local);
  const [port, monitorPort, { path }] = [await findFreePort(), await findFreePort(), await findNatsBinary()];
  const storeDirectory = createTestDirectory(t, 'infrasignal-deploy-store-');
  const place = ['-a', '127.0.0.1', '-p', String(port), '-m', String(monitorPort)];
  const child = await startManagedProcess({
    name: 'nats-server',
    command: path,
    args: ['-c', join(directory, 'nats-server.conf'), ...place],
    env: { NATS_SERVER_NAME: 'nats-1', NATS_STORE_DIR: storeDirectory },
    cwd: directory,
    logPath: join(directory, 'nats-server.log'),
  });
  t.teardown(() => child.stop());
  await waitFor(async () => (await fetch(`http://127.0.0.1:${monitorPort}/healthz`)).ok, {
    description: 'nats-server to be healthy',
    abortIf: () => {
      if (child.exitStatus !== null) throw new Error(child.tail());
    },
  });
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    pid: child.pid,
    storeDirectory,
    kill: (signal) => child.kill(signal),
    stop: async () => void (await child.stop()),
    restart: () => Promise.reject(new Error('this server is not started again')),
    logs: () => child.tail(1_000),
  };
}
