/**
 * If this breaks: a ticket opens what its token would not, which is a way around expiry, logout and signatures; or it
 * stops being good for anything, and a storm of reconnects costs a signature check each.
 */
import { sessionRevoked } from '@infrasignal/shared';
import { waitFor } from '@infrasignal/testkit';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { ReconnectTickets } from '../src/gateway/reconnect-tickets.ts';
import { startNotify, startWorld, type Notify } from './support/notify.ts';
import { connectSocket, expectRefusal, type ConnectOptions } from './support/socket-client.ts';

const KEYS = ['first key for tickets: 0123456789abcdef', 'other key for tickets: fedcba9876543210'] as const;

function offering(token: string, ticket: string): ConnectOptions {
  return { protocols: ['infrasignal.v1', `bearer.${token}`, `ticket.${ticket}`] };
}

function outcomes({ app }: Notify): Record<string, number> {
  return Object.fromEntries(app.gatewayStats.tickets);
}

t.test('R3 R7 reconnect tickets', async (t) => {
  const world = await startWorld(t);
  const { issuer } = world;
  const node = await startNotify(t, world);
  const { url } = node;
  const sid = randomUUID();
  const token = issuer.token(1, { claims: { sid } });
  const first = await connectSocket(url, { token });
  const ticket = first.connected.ticket ?? '';
  first.close();

  await t.test('a ticket beside its token lets in, in either place of the token', async (t) => {
    for (const options of [offering(token, ticket), { token, protocols: ['infrasignal.v1', `ticket.${ticket}`] }]) {
      const socket = await connectSocket(url, options);
      t.equal(socket.connected.user_id, 1);
      t.equal(socket.connected.session_id, sid);
      t.equal(socket.connected.ticket, ticket);
      t.equal(socket.socket.protocol, 'infrasignal.v1');
      socket.close();
    }
    t.same(outcomes(node), { accepted: 2 });
  });

  await t.test('without its token it is worth nothing', async (t) => {
    t.equal((await expectRefusal(url, { protocols: ['infrasignal.v1', `ticket.${ticket}`] })).status, 401);
    const [header, payload] = token.split('.') as [string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
    const forged = Buffer.from(JSON.stringify({ ...claims, user_id: 2, sub: '2' })).toString('base64url');
    for (const other of [`${header}.${forged}.AAAA`, `${header}.${payload}.AAAA`, `${token}A`, 'x', '..']) {
      t.equal((await expectRefusal(url, offering(other, ticket))).status, 401);
    }
    t.same(outcomes(node), { accepted: 2, unknown: 5 });
  });

  await t.test('a ticket that says nothing is no harm to a good token', async (t) => {
    for (const other of ['x', 'A'.repeat(43), `${ticket}A`, 'a'.repeat(5_000)]) {
      (await connectSocket(url, offering(token, other))).close();
    }
    const fresh = issuer.token(1, { claims: { sid } });
    (await connectSocket(url, offering(fresh, ticket))).close();
    t.match(outcomes(node), { accepted: 2 });
  });

  await t.test('two tickets → 400; a ticket without the protocol → 400', async (t) => {
    const two = ['infrasignal.v1', `bearer.${token}`, `ticket.${ticket}`, 'ticket.x'];
    t.equal((await expectRefusal(url, { protocols: two })).body.code, 'invalid_handshake');
    t.equal((await expectRefusal(url, { token, protocols: [`ticket.${ticket}`] })).body.code, 'subprotocol_required');
  });

  await t.test('it does not outlive its token', async (t) => {
    // Time for two handshakes: a second and a half may be lost, as `exp` and the node's clock are told in whole seconds.
    const short = issuer.token(1, { lifeSeconds: 5 });
    const socket = await connectSocket(url, { token: short });
    const shortTicket = socket.connected.ticket ?? '';
    (await connectSocket(url, offering(short, shortTicket))).close();
    t.match(await socket.waitForClose(), { code: 4401 });
    t.equal((await expectRefusal(url, offering(short, shortTicket))).status, 401);
  });

  await t.test('nor its session', async (t) => {
    const data = { user_id: 1, session_ids: [sid], reason: 'logout' };
    await world.publisher.publish(1, { type: sessionRevoked.type, data });
    await waitFor(() => node.app.hub.isRevoked(sid));
    t.equal((await expectRefusal(url, offering(token, ticket))).status, 401);
  });
});

t.test('R3 tickets of other nodes: with the same keys they are good, else the token is looked at', async (t) => {
  const world = await startWorld(t);
  const { issuer } = world;
  const token = issuer.token(1);
  const nodes = {
    alone: await startNotify(t, world),
    old: await startNotify(t, world, { TICKET_KEYS: KEYS[0] }),
    rotated: await startNotify(t, world, { TICKET_KEYS: `${KEYS[1]},${KEYS[0]}` }),
  };
  const ticketOf = async ({ url }: Notify): Promise<string> => {
    const socket = await connectSocket(url, { token });
    socket.close();
    return socket.connected.ticket ?? '';
  };
  const tickets = { alone: await ticketOf(nodes.alone), old: await ticketOf(nodes.old), rotated: await ticketOf(nodes.rotated) };
  const attempts = [
    { ticket: tickets.old, node: nodes.rotated, outcome: 'accepted' },
    { ticket: tickets.rotated, node: nodes.rotated, outcome: 'accepted' },
    { ticket: tickets.rotated, node: nodes.old, outcome: 'unknown' },
    { ticket: tickets.alone, node: nodes.old, outcome: 'unknown' },
    { ticket: tickets.old, node: nodes.alone, outcome: 'unknown' },
  ];
  for (const { ticket, node, outcome } of attempts) {
    const before = outcomes(node)[outcome] ?? 0;
    (await connectSocket(node.url, offering(token, ticket))).close();
    t.equal(outcomes(node)[outcome], before + 1);
  }
});

t.test('without keys each process has one of its own', async (t) => {
  const [one, two] = [new ReconnectTickets([]), new ReconnectTickets([])];
  t.equal(one.renew('token', one.issue('token')), one.issue('token'));
  t.equal(two.renew('token', one.issue('token')), null);
  t.equal(one.renew('token', ''), null);
});
