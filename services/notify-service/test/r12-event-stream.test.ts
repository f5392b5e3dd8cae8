/**
 * If this breaks: clients behind a proxy that blocks WebSocket hear nothing, hear late, hear things twice, or go on
 * hearing what they may not hear any more.
 */
import { sessionRevoked } from '@infrasignal/shared';
import { startGateway } from '@infrasignal/local-stack';
import { waitFor } from '@infrasignal/testkit';
import { EventSource } from 'eventsource';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { createEventsStream, deleteEventsStream } from './support/event-publisher.ts';
import { startNotify, startWorld, waitForReady } from './support/notify.ts';
import { askForStream, openStream, type StreamOptions } from './support/sse-client.ts';
import { connectSocket, expectRefusal } from './support/socket-client.ts';

t.test('the protocol of a stream', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url, app } = await startNotify(t, world, { PING_INTERVAL_SECONDS: '1', PONG_TIMEOUT_SECONDS: '1' });

  t.test('R12 the answer says that nobody may keep, change or hold it back', async (t) => {
    const stream = await openStream(url, { token: issuer.token(1) });
    const { headers } = stream.response;
    t.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    t.equal(headers['cache-control'], 'no-store, no-transform');
    t.equal(headers['x-accel-buffering'], 'no');
    t.equal(headers['content-encoding'], undefined);
    t.equal(headers['content-length'], undefined);
    t.equal(headers['x-content-type-options'], 'nosniff');
    t.match(stream.text, /^retry: [1-5]\d{3}\n\n/, 'when to come back, first of all');
    stream.close();
    await waitFor(() => app.hub.size === 0, { description: 'the stream to be forgotten' });
  });

  t.test('R12 one hears one’s own events in order, each with its cursor', async (t) => {
    const stream = await openStream(url, { token: issuer.token(1) });
    t.match(stream.connected, { type: 'connected', user_id: 1, seq: publisher.lastSeq(1), recovered: true });
    t.equal(stream.named('connected')[0]?.id, stream.connected.cursor);
    await publisher.publish(2);
    const published = await publisher.publishMany(1, 20);
    await stream.waitForNotifications(20);
    t.strictSame(stream.seqs, published.map(({ seq }) => seq));
    for (const { id, data } of stream.named('notification')) t.equal(id, data.cursor);
    t.equal(stream.notifications.filter(({ user_id: userId }) => userId !== 1).length, 0);
    stream.close();
  });

  t.test('R12 what an event says cannot end it or begin another', async (t) => {
    const stream = await openStream(url, { token: issuer.token(1) });
    const text = 'a\nb\r\nc\rdata: x\n\nevent: closed\ndata: {}\n\n\u2028';
    await publisher.publish(1, { data: { user_id: 1, phone_number: text } });
    const [notification] = await stream.waitForNotifications(1);
    t.equal(notification?.phone_number, text);
    t.equal(stream.named('closed').length, 0);
    stream.close();
  });

  t.test('R12 a stream gets the same frames as a socket', async (t) => {
    const token = issuer.token(1);
    const stream = await openStream(url, { token });
    const socket = await connectSocket(url, { token });
    await publisher.publishMany(1, 3);
    await Promise.all([stream.waitForNotifications(3), socket.waitForNotifications(3)]);
    t.strictSame(stream.notifications, socket.notifications);
    for (const client of [stream, socket]) client.close();
  });

  t.test('R12 a request with a body, which nobody asked for, is read to its end and changes nothing', async (t) => {
    const body = Buffer.alloc(4_000_000, ' ');
    const connected = once(app.server, 'connection') as Promise<[Socket]>;
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    client.on('error', () => undefined);
    const lines = ['GET /sse/notifications/ HTTP/1.1', 'Host: 127.0.0.1', `Authorization: Bearer ${issuer.token(1)}`];
    client.write(`${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.write(body);
    let text = '';
    client.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
    });
    await waitFor(() => text.includes('event: connected'), { description: 'the stream' });
    // While it is not read, the end of the connection is not seen either.
    const [connection] = await connected;
    await waitFor(() => connection.bytesRead > body.length, { description: 'the body to be read' });
    const { seq } = await publisher.publish(1);
    await waitFor(() => text.includes(`"seq":${seq},`), { description: 'the event' });
    client.destroy();
    await waitFor(() => app.hub.size === 0, { description: 'the stream to be forgotten' });
    t.equal(connection.destroyed, true);
  });

  t.test('R12 quiet streams have heartbeats and stay open', async (t) => {
    const stream = await openStream(url, { token: issuer.token(1) });
    await waitFor(() => (stream.text.match(/^:\n\n/gm) ?? []).length >= 3, { description: 'three heartbeats' });
    t.equal(stream.isEnded, false, 'nobody answers them, and nobody has to');
    stream.close();
  });

  t.test('R12 Last-Event-ID brings what was missed, none twice, while events keep coming', async (t) => {
    const token = issuer.token(1);
    const first = await openStream(url, { token });
    await publisher.publishMany(1, 3);
    await first.waitForNotifications(3);
    first.close();
    const missed = await publisher.publishMany(1, 5);
    const [second] = await Promise.all([
      openStream(url, { token, lastEventId: first.lastEventId }),
      publisher.publishMany(1, 5),
    ]);
    await second.waitForNotifications(10);
    const from = missed[0]?.seq ?? 0;
    t.equal(second.connected.recovered, true);
    t.strictSame(second.seqs, Array.from({ length: 10 }, (_, at) => from + at));
    second.close();
  });

  t.test('R12 the cursor may stand in the URL; the header is newer; one of a socket fits too', async (t) => {
    const token = issuer.token(1);
    const socket = await connectSocket(url, { token });
    await publisher.publishMany(1, 4);
    await socket.waitForNotifications(4);
    const [one, , three] = socket.notifications;
    const openAfter = async (options: StreamOptions, count: number): Promise<number[]> => {
      const stream = await openStream(url, { token, ...options });
      await stream.waitForNotifications(count);
      stream.close();
      return stream.seqs;
    };
    const last = publisher.lastSeq(1);
    t.strictSame(await openAfter({ after: one?.cursor ?? '' }, 3), [last - 2, last - 1, last]);
    t.strictSame(await openAfter({ after: String(last - 2) }, 2), [last - 1, last], 'a plain seq');
    t.strictSame(await openAfter({ after: one?.cursor ?? '', lastEventId: three?.cursor ?? '' }, 1), [last]);
    socket.close();
  });

  t.test('R12 a cursor that is none, or another’s, is answered so, and the stream is live', async (t) => {
    const [own] = await publisher.publishMany(3, 1);
    const other = await openStream(url, { token: issuer.token(3) });
    const cursors = ['nonsense', '-1', '9223372036854775808', '99999', other.connected.cursor, `a1.${own!.position}.${own!.id}`];
    for (const lastEventId of cursors) {
      const stream = await openStream(url, { token: issuer.token(4), lastEventId });
      t.match(stream.connected, { recovered: false, reason: 'unknown_cursor' }, lastEventId);
      await publisher.publish(4);
      await stream.waitForNotifications(1);
      t.equal(stream.notifications[0]?.user_id, 4);
      stream.close();
    }
    other.close();
  });

  t.test('R12 the end of the session ends the stream and says why; others’ go on', async (t) => {
    const [mine, other] = [randomUUID(), randomUUID()];
    const ending = await openStream(url, { token: issuer.token(7, { claims: { sid: mine } }) });
    const staying = await openStream(url, { token: issuer.token(7, { claims: { sid: other } }) });
    const data = { user_id: 7, session_ids: [mine], reason: 'logout' };
    await publisher.publish(7, { type: sessionRevoked.type, data });
    t.strictSame(await ending.waitForEnd(), { type: 'closed', code: 4501, reason: 'session_revoked', reconnect: false });
    t.equal(ending.notifications.at(-1)?.type, 'session.revoked', 'what happened comes before');
    await publisher.publish(7);
    await staying.waitForNotifications(2);
    staying.close();
  });

  t.test('R12 a stream ends with its token, is told before, and cannot be renewed', async (t) => {
    // A second and a half may be lost, as `exp` and the node's clock are told in whole seconds.
    const stream = await openStream(url, { token: issuer.token(5, { lifeSeconds: 5 }) });
    const end = await stream.waitForEnd();
    t.strictSame(end, { type: 'closed', code: 4401, reason: 'token_expired', reconnect: true });
    t.equal(stream.named('token_expiring').length, 1);
    t.equal(stream.named('token_expiring')[0]?.data.expires_at, stream.connected.expires_at);
  });

  t.test('R11 a user’s streams count with their sockets; the oldest is told and closed', async (t) => {
    const { url } = await startNotify(t, world, { SOCKETS_PER_USER_MAX: '2' });
    const oldest = await openStream(url, { token: issuer.token(6) });
    const socket = await connectSocket(url, { token: issuer.token(6) });
    const newest = await openStream(url, { token: issuer.token(6) });
    t.strictSame(await oldest.waitForEnd(), { type: 'closed', code: 4502, reason: 'too_many_sockets', reconnect: false });
    t.match(oldest.named('error')[0]?.data, { code: 'too_many_sockets', retryable: false });
    t.equal(socket.closed, null);
    for (const client of [socket, newest]) client.close();
  });
});

t.test('who may listen', async (t) => {
  const world = await startWorld(t);
  const { issuer, publisher } = world;
  const { url } = await startNotify(t, world);
  const token = issuer.token(1);
  const accept = (value: string): StreamOptions => ({ token, headers: { accept: value } });

  const refusals: [string, StreamOptions, number, string][] = [
    ['no token', {}, 401, 'invalid_token'],
    ['a cookie alone', { headers: { cookie: `access=${token}; __Host-access=${token}` } }, 401, 'invalid_token'],
    ['an expired token', { token: issuer.token(1, { lifeSeconds: -1 }) }, 401, 'invalid_token'],
    ['a refresh token', { token: issuer.token(1, { claims: { token_type: 'refresh' } }) }, 401, 'invalid_token'],
    ['another scheme', { headers: { authorization: 'Basic eA==' } }, 401, 'invalid_token'],
    ['a token in the query', { path: `/sse/notifications/?access_token=${token}` }, 400, 'token_in_query'],
    ['a foreign origin', { token, headers: { origin: 'https://evil.example' } }, 403, 'forbidden_origin'],
    ['the null origin', { token, headers: { origin: 'null' } }, 403, 'forbidden_origin'],
    ['JSON wanted', accept('application/json'), 406, 'not_acceptable'],
    ['event streams not wanted', accept('text/event-stream;q=0'), 406, 'not_acceptable'],
    ['POST', { token, method: 'POST' }, 405, 'method_not_allowed'],
    ['DELETE', { token, method: 'DELETE' }, 405, 'method_not_allowed'],
  ];
  for (const [what, options, status, code] of refusals) {
    t.test(`R12 ${what} → ${status} before a stream begins`, async (t) => {
      const refusal = await askForStream(url, options);
      t.equal(refusal.status, status);
      t.match(refusal.headers['content-type'], 'application/problem+json');
      t.match(JSON.parse(refusal.body), { code, status });
      t.equal(refusal.headers['www-authenticate'] !== undefined, status === 401);
      if (status === 405) t.equal(refusal.headers.allow, 'GET, HEAD');
    });
  }

  t.test('R12 any way to say that an event stream is welcome', async (t) => {
    for (const value of ['text/event-stream', '*/*', 'text/*;q=0.5, application/json', 'TEXT/Event-Stream; q=1']) {
      const stream = await openStream(url, accept(value));
      stream.close();
    }
    const stream = await openStream(url, { token, path: '/sse/notifications' });
    stream.close();
    t.pass('and without the trailing slash');
  });

  t.test('R12 HEAD answers like GET without opening a stream', async (t) => {
    const { status, headers, body } = await askForStream(url, { token, method: 'HEAD' });
    t.equal(status, 200);
    t.equal(headers['content-type'], 'text/event-stream; charset=utf-8');
    t.equal(body, '');
    t.equal((await askForStream(url, { method: 'HEAD' })).status, 401);
  });

  t.test('R12 no WebSocket is opened here', async (t) => {
    const { status, body } = await expectRefusal(url, { token, path: '/sse/notifications/' });
    t.equal(status, 400);
    t.equal(body.code, 'event_stream_only');
  });

  t.test('R12 with the scope for it one hears everybody', async (t) => {
    const stream = await openStream(url, { token: issuer.token(9, { claims: { scope: 'notifications:all' } }) });
    t.equal(stream.connected.seq, null);
    await publisher.publish(1);
    await publisher.publish(2);
    await stream.waitForNotifications(2);
    t.strictSame(stream.notifications.map(({ user_id: userId }) => userId), [1, 2]);
    stream.close();
  });
});

t.test('R12 DEBUG’s public feed needs no token, resumes, and notices another log', async (t) => {
  const world = await startWorld(t);
  const { publisher } = world;
  const { url } = await startNotify(t, world, { DEBUG: 'true' });
  const first = await openStream(url, { headers: { origin: 'https://anybody.example' } });
  t.match(first.connected, { user_id: null, session_id: null, seq: null, expires_at: null });
  await publisher.publishMany(1, 3);
  await first.waitForNotifications(3);
  first.close();

  await publisher.publishMany(2, 3);
  const second = await openStream(url, { lastEventId: first.lastEventId });
  await second.waitForNotifications(3);
  t.equal(second.connected.recovered, true);
  t.strictSame(second.notifications.map(({ user_id: userId, seq }) => [userId, seq]), [[2, 1], [2, 2], [2, 3]]);

  // The same positions, other events: as after a disk was restored from an old copy.
  await deleteEventsStream(publisher.connection);
  await createEventsStream(publisher.connection);
  await publisher.publishMany(3, 8);
  await second.waitForNotifications(11);
  t.strictSame(second.notifications.slice(3).map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7, 8], 'who stayed missed nothing');
  await waitForReady(url);
  const third = await openStream(url, { lastEventId: first.lastEventId });
  t.match(third.connected, { recovered: false, reason: 'unknown_cursor' });
  await publisher.publish(3);
  const [live] = await third.waitForNotifications(1);
  t.equal(live?.seq, 9);
  for (const client of [second, third]) client.close();
});

t.test('R12 a reader that never reads is cut off as slow, and others do not notice', async (t) => {
  const world = await startWorld(t);
  // Not pinged: being slow is all that it can be cut off for, however long it takes to fill its buffers.
  const { url, app } = await startNotify(t, world, { PING_INTERVAL_SECONDS: '3600' });
  const token = world.issuer.token(1);
  const slow = await openStream(url, { token, reads: false });
  const quick = await openStream(url, { token });
  const data = { filler: 'x'.repeat(60_000) };
  const closes = app.hub.stats.closesByCode;
  while ((closes.get(4008) ?? 0) < 1) {
    await world.publisher.publish(1, { type: 'user.large_thing', data });
    if (world.publisher.lastSeq(1) > 2_000) throw new Error('it is never closed');
  }
  await quick.waitForNotifications(world.publisher.lastSeq(1));
  t.equal(quick.isEnded, false);
  quick.close();
  await waitFor(() => app.hub.size === 0, { description: 'the slow one to be dropped without its doing' });
  slow.close();
});

t.test('R13 a node that closes tells its streams when to come back, and ends them', async (t) => {
  const world = await startWorld(t);
  const { url, app } = await startNotify(t, world);
  const stream = await openStream(url, { token: world.issuer.token(1) });
  await app.close();
  t.strictSame(await stream.waitForEnd(), { type: 'closed', code: 4000, reason: 'going_away', reconnect: true });
  const [reconnect] = stream.named('reconnect');
  const { window_ms: windowMs } = reconnect?.data as { window_ms?: number };
  t.ok(typeof windowMs === 'number' && reconnect !== undefined && reconnect.retry !== null);
  t.ok((reconnect?.retry ?? Infinity) <= (windowMs ?? 0), 'a moment of its own within the window');
});

t.test('R12 a standard client behind the gateway comes back by itself and misses nothing', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const notify = await startNotify(t, world);
  const gateway = await startGateway({ port: 0, authUrl: notify.url, notifyUrl: notify.url });
  t.teardown(() => gateway.close());
  const seqs: number[] = [];
  let connections = 0;
  const source = new EventSource(`${gateway.url}/sse/notifications/`, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${issuer.token(1)}` } }),
  });
  t.teardown(() => {
    source.close();
  });
  source.addEventListener('connected', () => {
    connections += 1;
  });
  source.addEventListener('notification', ({ data }: { data: string }) => {
    seqs.push((JSON.parse(data) as { seq: number }).seq);
  });
  await waitFor(() => connections === 1, { description: 'the stream to be open' });
  await publisher.publishMany(1, 3);
  await waitFor(() => seqs.length === 3, { description: 'events through the gateway, as they happen' });

  for (const connection of notify.app.hub.connections) connection.port.terminate();
  await publisher.publishMany(1, 3);
  await waitFor(() => connections === 2, { description: 'the client to come back' });
  await waitFor(() => seqs.length === 6, { description: 'what it missed' });
  t.strictSame(seqs, [1, 2, 3, 4, 5, 6]);
});
