/**
 * If this breaks: nobody can connect after a key rotation, a short absence of auth-service logs everybody out, or a
 * flood of invented key ids becomes a flood on auth-service.
 */
import { TokenIssuer, waitFor } from '@infrasignal/testkit';
import t from 'tap';
import { JwksKeySource } from '../src/index.ts';

async function start(t: { teardown(handler: () => unknown): unknown }, issuer: TokenIssuer, now?: () => number): Promise<JwksKeySource> {
  const keys = new JwksKeySource({ url: issuer.url, ...(now === undefined ? {} : { now }) });
  t.teardown(() => keys.stop());
  keys.start();
  await waitFor(() => keys.isLoaded);
  return keys;
}

t.test('A18 keys are fetched at the start, as soon as there is an answer', async (t) => {
  const issuer = await TokenIssuer.start(t);
  await issuer.close();
  const keys = new JwksKeySource({ url: issuer.url });
  t.teardown(() => keys.stop());
  keys.start();
  t.equal(keys.isLoaded, false);
  await issuer.listen();
  await waitFor(() => keys.isLoaded);
  t.match(await keys.find('key-1'), /^-----BEGIN PUBLIC KEY-----/);
});

t.test('A18 an unknown kid is fetched once, by however many ask; a flood of random ones once a minute', async (t) => {
  const issuer = await TokenIssuer.start(t);
  let nowMs = 1_000_000;
  const keys = await start(t, issuer, () => nowMs);
  t.equal(issuer.requests, 1);
  issuer.rotate();
  const found = await Promise.all(Array.from({ length: 50 }, () => keys.find('key-2')));
  t.ok(found.every((pem) => pem !== null));
  t.equal(issuer.requests, 2);
  for (let at = 0; at < 200; at += 1) t.equal(await keys.find(`random-${at}`), null);
  t.equal(issuer.requests, 2, 'the minute is not over');
  nowMs += 60_000;
  await Promise.all(Array.from({ length: 200 }, (_, at) => keys.find(`other-${at}`)));
  t.equal(issuer.requests, 3);
  t.ok(await keys.find('key-1'), 'the old key still verifies while it is published');
});

t.test('A18 while the endpoint is away, or answers rubbish, the keys are kept', async (t) => {
  const issuer = await TokenIssuer.start(t);
  let nowMs = 0;
  const keys = await start(t, issuer, () => nowMs);
  const answers = ['', '[]', '{}', '{"keys":{}}', '{"keys":[]}', 'x'.repeat(70_000), '{"keys":[{"kty":"RSA","kid":"r","n":"AQ","e":"AQ"}]}'];
  for (const body of answers) {
    issuer.answer = { status: 200, body };
    nowMs += 60_000;
    t.equal(await keys.find('new'), null);
    t.ok(await keys.find('key-1'), JSON.stringify(body.slice(0, 30)));
  }
  issuer.answer = { status: 500, body: '{}' };
  nowMs += 60_000;
  t.equal(await keys.find('new'), null);
  t.equal(issuer.requests, 1 + answers.length + 1);
  await issuer.close();
  nowMs += 60_000;
  t.equal(await keys.find('new'), null);
  t.ok(await keys.find('key-1'));
});

t.test('A18 of a mixed set only Ed25519 signature keys are taken', async (t) => {
  const issuer = await TokenIssuer.start(t);
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'; // RFC 8037 appendix A.2
  const key = { kty: 'OKP', crv: 'Ed25519', x };
  const keySet = [
    { ...key, kid: 'good' },
    { ...key, kid: 'encryption', use: 'enc' },
    { ...key, kid: 'other-algorithm', alg: 'ES256' },
    { ...key, kid: 'other-curve', crv: 'Ed448' },
    { ...key, kid: 'short', x: 'AAAA' },
    { ...key, kid: 7 },
    { ...key, kid: '' },
    { ...key, kid: 'k'.repeat(129) },
    key,
    null,
    'text',
  ];
  issuer.answer = { status: 200, body: JSON.stringify({ keys: keySet }) };
  const keys = await start(t, issuer);
  t.ok(await keys.find('good'));
  for (const kid of ['encryption', 'other-algorithm', 'other-curve', 'short', '', 'k'.repeat(129)]) {
    t.equal(await keys.find(kid), null, kid);
  }
});

t.test('F18 the time of day is that of whoever signs, and what this machine says of it means nothing', async (t) => {
  const issuer = await TokenIssuer.start(t);
  let nowMs = 5_000;
  const source = new JwksKeySource({ url: issuer.url, now: () => nowMs });
  t.ok(Math.abs(source.timeOfDay() - Date.now()) < 10_000, 'until it is told another');
  issuer.headers = { date: 'Fri, 01 Jan 2038 00:00:00 GMT', age: '60' };
  const keys = await start(t, issuer, () => nowMs);
  const toldMs = Date.parse('2038-01-01T00:01:00Z');
  const behindMs = (): number => keys.timeOfDay() - toldMs;
  t.ok(behindMs() >= 0 && behindMs() <= 1_000, `${behindMs()} ms after what was told, a cache's minute included`);
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  const before = keys.timeOfDay();
  Date.now = () => now() - 86_400_000;
  t.equal(keys.timeOfDay(), before, 'although the clock was set');
  nowMs += 60_000;
  t.equal(keys.timeOfDay(), before + 60_000, 'and it goes on');
  issuer.headers = { date: 'Thu, 31 Dec 2037 00:00:00 GMT' };
  await keys.find('another');
  t.ok(keys.timeOfDay() < toldMs - 80_000_000, 'whoever signs may have been set');
  const afterStep = keys.timeOfDay();
  for (const date of ['yesterday', '']) {
    issuer.headers = { date };
    nowMs += 60_000;
    await keys.find('another');
  }
  t.equal(keys.timeOfDay(), afterStep + 120_000, 'what cannot be read tells nothing');
});
