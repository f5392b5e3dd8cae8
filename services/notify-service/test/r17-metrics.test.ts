/**
 * If this breaks: operators do not see that sockets hear late, that revocations take long, or that a node is behind; or
 * the figures cost what they measure.
 */
import { sessionRevoked } from '@infrasignal/shared';
import { commonMetrics } from '@infrasignal/service-kit';
import { scrape, waitFor, type Scrape } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { metrics } from '../src/metrics.ts';
import { startNotify, startWorld } from './support/notify.ts';
import { openStream } from './support/sse-client.ts';
import { connectSocket, expectRefusal } from './support/socket-client.ts';

t.test('R17 every metric that is documented is there, and no other', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  const documented = Object.values({ ...commonMetrics, ...metrics }).map(({ name }) => name);
  t.strictSame((await scrape(url)).names, documented.sort());
});

t.test('R17 what happens to connections and events shows', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url } = await startNotify(t, world);
  const sid = randomUUID();
  const own = await connectSocket(url, { token: issuer.token(1, { claims: { sid } }) });
  const plain = await connectSocket(url, { token: issuer.token(1), isV1: false });
  const feed = await connectSocket(url, { token: issuer.token(2, { claims: { scope: 'notifications:all' } }) });
  const stream = await openStream(url, { token: issuer.token(1) });
  await expectRefusal(url, { token: 'no token' });
  await publisher.publishMany(1, 5);
  await publisher.publish(99); // nobody but the feed of everything is told
  await Promise.all([own, plain, stream].map((client) => client.waitForNotifications(5)));
  await feed.waitForNotifications(6);
  const resumed = await connectSocket(url, { token: issuer.token(1), after: String(publisher.lastSeq(1) - 2) });
  await resumed.waitForNotifications(2);

  const during = await scrape(url);
  const connections = (kind: string): number => during.sum('infrasignal_connections', { kind });
  t.strictSame(['own', 'plain', 'feed', 'own-stream'].map(connections), [2, 1, 1, 1]);
  const handshakes = (outcome: string): number => during.sum('infrasignal_handshakes_total', { outcome });
  t.strictSame([handshakes('accepted'), handshakes('invalid_token')], [5, 1]);
  t.equal(during.sum('infrasignal_resumes_total', { outcome: 'fresh' }), 3);
  t.equal(during.sum('infrasignal_resumes_total', { outcome: 'recovered' }), 1);
  t.equal(during.sum('infrasignal_deliveries_total'), 4 * 5 + 1);
  t.equal(during.sum('infrasignal_replayed_events_total'), 2);
  t.equal(during.sum('infrasignal_events_read_total'), 6);
  t.equal(during.sum('infrasignal_event_lag_seconds_count'), 6, 'once per event, whoever hears it');
  t.ok(during.sum('infrasignal_event_lag_seconds_sum') < 60);
  t.equal(during.sum('infrasignal_consumer_lag_events'), 0);
  t.ok(during.sum('infrasignal_writes_total') > 0 && during.sum('infrasignal_written_bytes_total') > 0);

  await publisher.publish(1, { type: sessionRevoked.type, data: { user_id: 1, session_ids: [sid], reason: 'logout' } });
  await own.waitForClose();
  await waitFor(async () => (await scrape(url)).sum('infrasignal_connections', { kind: 'own' }) === 1);
  const after = await scrape(url);
  t.equal(after.sum('infrasignal_connection_closes_total', { code: '4501' }), 1);
  t.equal(after.sum('infrasignal_revocation_duration_seconds_count'), 1);
  for (const client of [plain, feed, stream, resumed]) client.close();
  await waitFor(async () => (await scrape(url)).sum('infrasignal_connections') === 0);
  t.ok(after.sum('infrasignal_http_requests_total', { route: '/ws/notifications', status: '401' }) >= 1);
  t.equal((await scrape(url)).sum('infrasignal_http_request_duration_seconds_count', { route: '/sse/notifications' }), 0);
});

t.test('R17 frames that are due together count as coalesced, and what a slow reader leaves as unread', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world, { SOCKET_QUEUE_BYTES_MAX: '67108864' });
  const slow = await connectSocket(url, { token: world.issuer.token(1) });
  slow.socket.pause();
  const data = { filler: 'x'.repeat(60_000) };
  const unread = async (): Promise<Scrape | null> => {
    await Promise.all(Array.from({ length: 10 }, () => world.publisher.publish(1, { type: 'user.large_thing', data })));
    const scraped = await scrape(url);
    return scraped.sum('infrasignal_queue_bytes', { state: 'unread' }) > 0 ? scraped : null;
  };
  await waitFor(unread, { description: 'bytes that nobody reads' });
  // What was published last may still be on its way while it is scraped.
  const isCounted = async (): Promise<boolean> => {
    const coalesced = (await scrape(url)).sum('infrasignal_coalesced_frames_total');
    return coalesced > 0 && coalesced === app.hub.stats.framesWritten - app.hub.stats.writes;
  };
  await waitFor(isCounted, { description: 'what was written together to be counted' });
  slow.socket.terminate();
  await waitFor(async () => (await scrape(url)).sum('infrasignal_queue_bytes') === 0, { description: 'nothing to wait' });
});

t.test('R17 a node without its broker is not ready, and its lag is not known', async (t) => {
  const world = await startWorld(t);
  const { url } = await startNotify(t, world);
  t.equal((await scrape(url)).sum('infrasignal_ready', { check: 'events' }), 1);
  await world.nats.kill();
  await waitFor(async () => (await scrape(url)).sum('infrasignal_ready', { check: 'events' }) === 0);
  const scraped = await scrape(url);
  t.equal((await fetch(`${url}/readyz`)).status, 503);
  t.equal((await fetch(`${url}/healthz`)).status, 200);
  t.equal(scraped.sum('infrasignal_consumer_ends_total', { reason: 'disconnected' }), 1);
  t.ok(Number.isNaN(scraped.sum('infrasignal_consumer_lag_events')));
  await world.nats.restart();
  await waitFor(async () => (await scrape(url)).sum('infrasignal_ready', { check: 'events' }) === 1);
});
