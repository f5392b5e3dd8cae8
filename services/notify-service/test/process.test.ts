/**
 * If this breaks: a deployment hangs or cuts clients off without a word, or a wrong setting is found out by users.
 */
import { runServiceToExit, waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { environmentOf, startNotifyProcess, startWorld } from './support/notify.ts';
import { connectSocket } from './support/socket-client.ts';

const ENTRY = 'services/notify-service/src/server.ts';

t.test('R13 SIGTERM: clients are told when to come back, closed in order, and the process ends with 0', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world, { DEBUG: 'true', LOG_LEVEL: 'info' });
  const v1 = await connectSocket(node.url, { token: world.issuer.token(1) });
  const plain = await connectSocket(node.url, { isV1: false });
  const frozen = await connectSocket(node.url, { token: world.issuer.token(1) });
  await world.publisher.publish(1);
  await Promise.all([v1.waitForNotifications(1), plain.waitForNotifications(1), frozen.waitForNotifications(1)]);
  frozen.socket.pause();
  const stopping = node.stop();
  t.match(await v1.waitForClose(), { code: 4000, reason: 'going_away' });
  t.match(await plain.waitForClose(), { code: 4000 });
  t.match(v1.frames.at(-1), { type: 'reconnect', window_ms: Number });
  t.equal(plain.frames.length, 1, 'notifications and nothing else');
  t.match(await stopping, { code: 0 }, 'a client that does not answer does not keep it');
  frozen.socket.terminate();
  const cursor = v1.cursor;
  await world.publisher.publish(1);
  await node.restart();
  const again = await connectSocket(node.url, { token: world.issuer.token(1), after: cursor });
  await again.waitForNotifications(1);
  t.same(again.seqs, [2], 'nothing is lost in between');
  again.close();
});

t.test('a second signal ends it at once', async (t) => {
  const world = await startWorld(t);
  const node = await startNotifyProcess(t, world, { DEBUG: 'true', LOG_LEVEL: 'info' });
  const client = await connectSocket(node.url, { isV1: false });
  client.socket.pause();
  process.kill(node.pid, 'SIGTERM');
  await waitFor(() => node.logs().includes('closing sockets'));
  process.kill(node.pid, 'SIGINT');
  t.match(await node.exited, { code: 1 });
  client.socket.terminate();
});

t.test('A32 a wrong configuration ends it with one line per variable, and no value of it', async (t) => {
  const good = environmentOf({ nats: { url: 'nats://127.0.0.1:4222' }, issuer: { url: 'http://127.0.0.1:1/jwks' } } as never);
  const { HOST: _host, PORT: _port, ...env } = good;
  const wrong: Record<string, Record<string, string | undefined>> = {
    NATS_URL: { NATS_URL: undefined },
    JWKS_URL: { JWKS_URL: 'ftp://canary' },
    DEBUG: { DEBUG: 'canary' },
    PING_INTERVAL_SECONDS: { PING_INTERVAL_SECONDS: '0' },
    RESUME_EVENTS_MAX: { RESUME_EVENTS_MAX: '-5' },
  };
  const all = Object.assign({}, ...Object.values(wrong)) as Record<string, string | undefined>;
  const { code, logs } = await runServiceToExit(t, { entry: ENTRY, env: { ...env, ...all } });
  t.equal(code, 78);
  const lines = logs.trim().split('\n');
  t.equal(lines.length, Object.keys(wrong).length);
  for (const name of Object.keys(wrong)) t.ok(lines.some((line) => line.startsWith(`notify-service: ${name} `)), name);
  t.notOk(logs.includes('canary'));
});
