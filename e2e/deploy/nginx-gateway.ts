import { findFreePort, PROJECT_ROOT, startManagedProcess } from '@infrasignal/local-stack';
import { createTestDirectory, waitFor, type StackServices, type TestContext } from '@infrasignal/testkit';
import { chmodSync, chownSync, closeSync, cpSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readStages } from './dockerfile.ts';
import { startNameServer } from './name-server.ts';

export const NGINX = '/usr/sbin/nginx';

const IMAGE = join(PROJECT_ROOT, 'deploy/gateway/Dockerfile');
const TEMPLATE = join(PROJECT_ROOT, 'deploy/gateway/nginx.conf.template');

export interface NginxGateway {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly healthUrl: string;
  /** Reads its configuration again (SIGHUP). */
  reload(): void;
  logs(): string;
}

/**
 * nginx of the distribution with the very file of deploy/gateway, filled in as the image's entry point does: with the
 * environment of the Dockerfile, changed only in ports and places. Not as root.
 */
export async function startNginxGateway(
  t: TestContext,
  { auths, notifies }: StackServices,
  changes: Record<string, string> = {},
): Promise<NginxGateway> {
  const directory = createTestDirectory(t, 'infrasignal-gateway-');
  const [port, healthPort] = [await findFreePort(), await findFreePort()];
  const names: Record<string, string[]> = {
    'auth-service': auths.map(({ url }) => new URL(url).hostname),
    'notify-service': notifies.map(({ url }) => new URL(url).hostname),
  };
  // As in the image, where it lies beside nginx: whoever nginx runs as may not see the clone.
  const webRoot = join(directory, 'web');
  cpSync(join(PROJECT_ROOT, 'packages/web/public'), webRoot, { recursive: true });
  const nameServer = await startNameServer(t, (name) => names[name] ?? []);
  const image = readStages(readFileSync(IMAGE, 'utf8')).at(-1)!.config;
  const values: Record<string, string> = {
    ...image.env,
    NGINX_LOCAL_RESOLVERS: nameServer.address,
    GATEWAY_TMP: directory,
    GATEWAY_PORT: String(port),
    GATEWAY_HEALTH_PORT: String(healthPort),
    GATEWAY_AUTH: `auth-service:${auths[0]?.port ?? 1}`,
    GATEWAY_NOTIFY: `notify-service:${notifies[0]?.port ?? 1}`,
    GATEWAY_WEB_ROOT: webRoot,
    ...changes,
  };
  const configPath = join(directory, 'nginx.conf');
  writeFileSync(configPath, fillIn(readFileSync(TEMPLATE, 'utf8'), values, new RegExp(image.env.NGINX_ENVSUBST_FILTER!)));
  const logPath = join(directory, 'log');
  closeSync(openSync(logPath, 'a'));
  const account = process.getuid?.() === 0 ? toAccount(image.user) : undefined;
  if (account !== undefined) {
    for (const path of [directory, logPath]) chownSync(path, account.uid, account.gid);
  }
  chmodSync(directory, 0o755);
  const child = await startManagedProcess({
    name: 'nginx',
    command: NGINX,
    args: ['-e', 'stderr', '-p', directory, '-c', configPath, '-g', 'daemon off;'],
    env: { PATH: process.env.PATH },
    cwd: directory,
    logPath,
    account,
    stopTimeoutMs: 2_000,
  });
  t.teardown(() => child.stop());
  const healthUrl = `http://127.0.0.1:${healthPort}/healthz`;
  const logs = (): string => readFileSync(logPath, 'utf8');
  await waitFor(async () => (await fetch(healthUrl)).ok, {
    timeoutMs: 30_000,
    description: 'nginx to answer',
    abortIf: () => {
      if (child.exitStatus !== null) throw new Error(`nginx ended:\n${logs()}`);
    },
  });
  return { url: `http://127.0.0.1:${port}`, port, healthUrl, reload: () => void child.kill('SIGHUP'), logs };
}

/** What envsubst makes of a template, for names that pass the filter. @throws Error on one without a value */
function fillIn(template: string, values: Readonly<Record<string, string>>, filter: RegExp): string {
  return template.replaceAll(/\$\{([A-Z_]+)\}/g, (match, name: string) => {
    if (!filter.test(name)) return match;
    const value = values[name];
    if (value === undefined) throw new Error(`${name} has no value`);
    return value;
  });
}

function toAccount(user: string): { uid: number; gid: number } {
  const [uid = 0, gid = 0] = user.split(':').map(Number);
  return { uid, gid };
}
