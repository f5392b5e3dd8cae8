/**
 * If this breaks: clients and their developers are told of a protocol that the service does not speak.
 */
import { eventDefinitions, frameDefinitions, sessionRevoked, userUpdated } from '@infrasignal/shared';
import { Parser, type AsyncAPIDocumentInterface, type MessageInterface } from '@asyncapi/parser';
import t from 'tap';
import { Compile } from 'typebox/schema';
import { startNotify, startWorld } from './support/notify.ts';
import { connectSocket, type Received } from './support/socket-client.ts';

/** Diagnostics from here on are advice: 0 is an error, 1 a warning. */
const ADVICE = 2;

async function lint(text: string): Promise<AsyncAPIDocumentInterface> {
  const { document, diagnostics } = await new Parser().parse(text);
  const complaints = diagnostics.filter(({ severity }) => Number(severity) < ADVICE);
  t.strictSame(complaints, []);
  if (document === undefined) throw new Error('the parser made nothing of the document');
  return document;
}

function nameOf(message: MessageInterface): string {
  return message.name() ?? '';
}

function schemaOf(message: MessageInterface): object {
  return message.payload()?.json() ?? {};
}

/** The messages of a channel that accept a value. */
function acceptedBy(document: AsyncAPIDocumentInterface, channel: string, value: unknown): string[] {
  const messages = document.allChannels().get(channel)?.messages().all() ?? [];
  return messages
    .filter((message) => Compile(schemaOf(message)).Check(value))
    .map(nameOf);
}

t.test('the AsyncAPI document', async (t) => {
  const world = await startWorld(t);
  const { publisher, issuer } = world;
  const { url } = await startNotify(t, world);
  const response = await fetch(`${url}/ws/asyncapi.json`);
  const text = await response.text();
  const document = await lint(text);
  const names = new Set(document.allMessages().all().map(nameOf));

  t.test('R16 it is served with an entity tag, and passes the official parser', async (t) => {
    t.equal(response.status, 200);
    t.match(response.headers.get('content-type'), 'application/json');
    t.match(document.version(), /^3\./);
    const tag = response.headers.get('etag') ?? '';
    t.equal((await fetch(`${url}/ws/asyncapi.json`, { headers: { 'if-none-match': tag } })).status, 304);
    t.equal((await fetch(`${url}/ws/asyncapi.json/`)).status, 200);
    t.equal((await fetch(`${url}/ws/asyncapi.json`, { method: 'POST' })).status, 405);
  });

  t.test('R16 it has every frame and every event of the catalogues', async (t) => {
    for (const { schema } of frameDefinitions) {
      const { $id = '' } = schema as { $id?: string };
      t.ok(names.has($id.charAt(0).toLowerCase() + $id.slice(1)), $id);
    }
    const addresses = new Set(document.allChannels().all().map((channel) => channel.address()));
    for (const { type } of eventDefinitions) t.ok(addresses.has(`users.{userId}.${type}`), type);
    t.ok(addresses.has('broadcasts.app.{name}'));
    t.ok(addresses.has('/ws/notifications/') && addresses.has('/sse/notifications/'));
  });

  t.test('R16 every example is one by the schema beside it', async (t) => {
    for (const message of document.allMessages().all()) {
      const validator = Compile(schemaOf(message));
      const examples = message.examples().all();
      t.ok(examples.length > 0, nameOf(message));
      for (const example of examples) t.strictSame(validator.Errors(example.payload())[1], [], nameOf(message));
    }
  });

  t.test('R16 the frames of a live socket are those of the document', async (t) => {
    const token = issuer.token(1);
    const client = await connectSocket(url, { token });
    client.socket.send('{"type":"ping"}');
    await publisher.publish(1);
    await publisher.publish(1, { type: userUpdated.type, data: { user_id: 1, changed: ['email'] } });
    await publisher.publish(1, { type: 'type.of.tomorrow', data: { user_id: 1 } });
    const { session_id: sessionId } = client.connected;
    const data = { user_id: 1, session_ids: [sessionId], reason: 'logout' };
    await publisher.publish(1, { type: sessionRevoked.type, data });
    await client.waitForClose();
    const accepted = (type: string): string[] => {
      const frame = client.frames.find((candidate: Received) => candidate.type === type);
      return acceptedBy(document, 'socket', frame);
    };
    t.strictSame(accepted('connected'), ['connectedFrame']);
    t.strictSame(accepted('pong'), ['pongFrame']);
    t.strictSame(accepted('user.login'), ['notificationFrame', 'userLoginNotification']);
    t.strictSame(accepted('user.updated'), ['notificationFrame', 'userUpdatedNotification']);
    t.strictSame(accepted('type.of.tomorrow'), ['notificationFrame']);
    t.strictSame(accepted('session.revoked'), ['notificationFrame', 'sessionRevokedNotification']);
    t.equal(client.frames.filter((frame) => acceptedBy(document, 'socket', frame).length === 0).length, 0);
  });

  t.test('R16 the frames of a socket without a subprotocol are those of its channel', async (t) => {
    const client = await connectSocket(url, { token: issuer.token(2), isV1: false });
    await publisher.publish(2);
    const [frame] = await client.waitForNotifications(1);
    t.strictSame(acceptedBy(document, 'plainSocket', frame), ['inheritedNotification']);
    client.close();
  });
});
