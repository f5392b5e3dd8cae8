/**
 * If this breaks: operators do not see that events pile up, that nobody publishes them, or that stolen tokens come back;
 * or an outage of the broker takes logins with it.
 */
import { commonMetrics } from '@infrasignal/service-kit';
import { parseScrape, startTestNats, startTestPostgres, waitFor, type Scrape } from '@infrasignal/testkit';
import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { metrics } from '../src/metrics.ts';
import { GOOD_PASSWORD, startAuth, testEnvironment } from './auth-fixture.ts';
import { createAccount, logIn, post } from './requests.ts';

async function scrapeApp(app: FastifyInstance): Promise<Scrape> {
  return parseScrape((await app.inject('/metrics')).body);
}

t.test('R17 every metric that is documented is there, and no other', async (t) => {
  const { app } = await startAuth(t);
  const documented = Object.values({ ...commonMetrics, ...metrics }).map(({ name }) => name);
  t.strictSame((await scrapeApp(app)).names, documented.sort());
});

t.test('R17 logins, refreshes and hashes are counted by outcome', async (t) => {
  const { app } = await startAuth(t);
  const { phone_number: phoneNumber, refresh } = await createAccount(app);
  await logIn(app, { phone_number: phoneNumber, password: GOOD_PASSWORD });
  await logIn(app, { phone_number: phoneNumber, password: 'not the password' });
  await logIn(app, { phone_number: '0199999999', password: 'not the password' });
  await post(app, '/api/token/refresh/', { refresh });
  await post(app, '/api/token/refresh/', { refresh: 'v1.nothing' });
  const scraped = await scrapeApp(app);
  const logins = (outcome: string): number => scraped.sum('infrasignal_logins_total', { outcome });
  t.strictSame([logins('ok'), logins('wrong'), logins('failed')], [1, 2, 0]);
  const refreshes = (outcome: string): number => scraped.sum('infrasignal_refreshes_total', { outcome });
  t.strictSame([refreshes('accepted'), refreshes('refused'), refreshes('reused')], [1, 1, 0]);
  // The registration hashed too.
  t.equal(scraped.sum('infrasignal_hashes_total', { outcome: 'computed' }), 4);
  t.equal(scraped.sum('infrasignal_hash_wait_seconds_count'), 4);
  t.equal(scraped.sum('infrasignal_hashes_waiting') + scraped.sum('infrasignal_hashes_running'), 0);
  t.equal(scraped.sum('infrasignal_http_requests_total', { route: '/api/login', status: '401' }), 2);
  t.ok(scraped.sum('infrasignal_database_pool_connections') > 0);
});

t.test('R17 a broker outage shows in the outbox and leaves the service ready', async (t) => {
  const { app, nats } = await startAuth(t);
  await createAccount(app);
  const isDrained = async (): Promise<boolean> => (await scrapeApp(app)).sum('infrasignal_outbox_events') === 0;
  await waitFor(isDrained, { description: 'the outbox to be published' });
  const before = await scrapeApp(app);
  t.equal(before.sum('infrasignal_outbox_relay_leading'), 1);
  t.equal(before.sum('infrasignal_outbox_publishes_total', { outcome: 'stored' }), 1);
  t.equal(before.sum('infrasignal_outbox_oldest_age_seconds'), 0);

  await nats.kill();
  await createAccount(app);
  await createAccount(app);
  const during = await scrapeApp(app);
  t.equal(during.sum('infrasignal_outbox_events'), 2);
  t.ok(during.sum('infrasignal_outbox_oldest_age_seconds') > 0);
  t.equal(during.sum('infrasignal_ready', { check: 'database' }), 1);
  t.equal((await app.inject('/readyz')).statusCode, 200);

  await nats.restart();
  await waitFor(isDrained, { description: 'the outbox to drain' });
});

t.test('R17 a database that is away is told as unknown figures, not as an error', async (t) => {
  const [postgres, nats] = await Promise.all([startTestPostgres(t), startTestNats(t)]);
  await migrateDatabase(postgres.url());
  const environment = testEnvironment({ databaseUrl: postgres.url(), natsUrl: nats.url });
  const app = await buildApp(loadConfig(environment));
  t.teardown(() => app.close());
  await app.ready();
  await postgres.kill();
  await scrapeApp(app);
  const scraped = await scrapeApp(app);
  t.equal(scraped.sum('infrasignal_ready', { check: 'database' }), 0);
  t.equal(scraped.sum('infrasignal_ready', { check: 'process' }), 1);
  t.ok(Number.isNaN(scraped.sum('infrasignal_outbox_events')));
  t.ok(scraped.sum('infrasignal_metric_read_failures_total', { metric: 'infrasignal_outbox_events' }) > 0);
});
