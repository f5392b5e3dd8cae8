// If this breaks, a service that never got its answer and tries again, as it must, tells everybody twice.
import { EVENTS_STREAM_NAME, type EventEnvelope } from '@infrasignal/shared';
import { readStream, startFaultProxy, startServiceProcess, startTestNats, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { runCli } from '../../src/cli/cli.ts';
import { createAuthDatabase, GOOD_PASSWORD, testEnvironment } from '../auth-fixture.ts';
import { AUTH_ENTRY } from './service.ts';

test('F1 a notification whose answer was lost in a crash is told once, and its retry answered like the first', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const databaseUrl = new URL(database.url);
  const proxy = await startFaultProxy(t, { port: Number(databaseUrl.port) });
  databaseUrl.port = String(proxy.port);
  const env = testEnvironment({ databaseUrl: databaseUrl.href, natsUrl: nats.url });
  const service = await startServiceProcess(t, { entry: AUTH_ENTRY, env });
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${service.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });

  const [out, scopes]: [string[], string[]] = [[], ['--scope', 'notifications:send', '--scope', 'notifications:broadcast']];
  const environment = testEnvironment({ databaseUrl: database.url, natsUrl: nats.url });
  const argv = ['service-clients', 'create', 'shop', ...scopes, '--json'];
  await runCli(argv, environment, { out: (line) => out.push(line), error: (line) => t.fail(line) });
  const { client_id, client_secret } = JSON.parse(out.join('\n')) as Record<string, string>;
  const token = await post('/api/service/token/', { client_id, client_secret });
  const { access } = (await token.json()) as { access: string };
  const account = await post('/api/register/', { phone_number: '0123456789', password: GOOD_PASSWORD });
  const { user_id: userId } = (await account.json()) as { user_id: number };

  const messages = { fr: 'Bonjour', en: 'Hello' };
  const send = (to: unknown, key: string): Promise<Response> =>
    post(
      '/api/notifications/',
      { to, type: 'app.news', messages },
      { authorization: `Bearer ${access}`, 'idempotency-key': key },
    );
  const requests = [[[userId], 'lost-answer-to-a-user'], ['everybody', 'lost-answer-to-everybody']] as const;
  proxy.setRule((chunk) => (chunk.includes('sent_notifications') ? 'swallow-answers' : 'forward'));
  const lost = requests.map(([to, key]) => send(to, key).catch(() => 'no answer'));
  await waitFor(async () => (await database.query('select 1 from sent_notifications')).length === 2);
  await service.kill();
  proxy.setRule(null);
  t.strictSame(await Promise.all(lost), ['no answer', 'no answer'], 'it is committed, and nobody was told');
  await service.restart();
  for (const [to, key] of requests) {
    const [first, second] = [await send(to, key), await send(to, key)];
    t.equal(first.status, 202);
    t.equal(await first.text(), await second.text());
  }

  const count = async (): Promise<number> =>
    (await database.query(`select 1 from outbox where type = 'app.news' and published_at is not null`)).length;
  await waitFor(async () => (await count()) === 2);
  const stored = await readStream<EventEnvelope>({ url: nats.url, stream: EVENTS_STREAM_NAME });
  const subjects = stored.map(({ subject }) => subject).filter((subject) => subject.endsWith('app.news'));
  t.strictSame(subjects.sort(), ['broadcasts.app.news', `users.${userId}.app.news`]);
});
