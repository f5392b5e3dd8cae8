// If this breaks, a crash at the wrong moment signs people out: their client holds a token that is used, and never got
// the one that took its place.
import type { TokenResponse } from '@infrasignal/shared';
import { startFaultProxy, startServiceProcess, startTestNats, waitFor } from '@infrasignal/testkit';
import { test } from 'tap';
import { createAuthDatabase, GOOD_PASSWORD, testEnvironment } from '../auth-fixture.ts';

async function post(url: string, body: object): Promise<{ status: number; tokens: TokenResponse }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, tokens: (await response.json()) as TokenResponse };
}

test('A23 a refresh whose answer was lost in a crash is answered again with the same successor', async (t) => {
  const [database, nats] = await Promise.all([createAuthDatabase(t), startTestNats(t)]);
  const databaseUrl = new URL(database.url);
  const proxy = await startFaultProxy(t, { port: Number(databaseUrl.port) });
  databaseUrl.port = String(proxy.port);
  const service = await startServiceProcess(t, {
    entry: 'services/auth-service/src/server.ts',
    env: testEnvironment({ databaseUrl: databaseUrl.href, natsUrl: nats.url }),
  });
  const account = await post(`${service.url}/api/register/`, { phone_number: '0123456789', password: GOOD_PASSWORD });
  const { refresh } = account.tokens;

  proxy.setRule((chunk) => (chunk.includes('refresh_counter =') ? 'swallow-answers' : 'forward'));
  const lost = post(`${service.url}/api/token/refresh/`, { refresh }).catch(() => 'no answer');
  await waitFor(async () => {
    const [row] = await database.query<{ refresh_counter: number }>('select refresh_counter from sessions');
    return row?.refresh_counter === 1;
  });
  await service.kill();
  proxy.setRule(null);
  t.equal(await lost, 'no answer', 'the rotation is committed, and nobody was told');

  await service.restart();
  // A restart can take longer on a busy machine than the grace lasts, which is not what is tested here.
  await database.query('update sessions set rotated_at = clock_timestamp()');
  const again = await post(`${service.url}/api/token/refresh/`, { refresh });
  t.equal(again.status, 200);
  t.equal(again.tokens.refresh.split('.')[2], '1', 'the successor, not another rotation');
  const next = await post(`${service.url}/api/token/refresh/`, { refresh: again.tokens.refresh });
  t.equal(next.status, 200, 'and it works');
});
