/**
 * If this breaks: clients see frames of the wrong length and drop the connection.
 */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { encodeTextFrame } from '../../src/gateway/text-frame.ts';

t.test('a text frame is read back by another implementation, at every edge of the length encodings', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.teardown(() => {
    server.close();
  });
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.teardown(() => {
    client.terminate();
  });
  const [, request] = (await once(server, 'connection')) as [WebSocket, IncomingMessage];
  await once(client, 'open');
  for (const length of [2, 3, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 300_000]) {
    // JSON puts two quotes around a text; as many two-byte letters as fit, and an ordinary one if one byte is left.
    const value = 'é'.repeat(Math.floor((length - 2) / 2)) + (length % 2 === 1 ? 'x' : '');
    const received = once(client, 'message');
    request.socket.write(encodeTextFrame(value));
    const [data] = (await received) as [Buffer];
    t.equal(data.byteLength, length);
    t.equal(JSON.parse(data.toString('utf8')), value);
  }
});
