/**
 * What sending one notification to many sockets costs elsewhere. Servers that do nothing else: no token, no order, no
 * resume, no limit. Runs as a process, set by NATS_URL, SUBJECT, WAY, HOST and PORT.
 *
 * WAY=ws: the loop that everybody writes, JSON.stringify once and `send` of `ws` for each client.
 * WAY=socket.io: `io.emit` of Socket.IO 4, by WebSocket alone, with pings later than any run ends.
 * WAY=raw: the ceiling, one frame for all, what is due in one turn of the event loop in one write per socket.
 */
import { encodeFeedCursor, toNotification, userLogin, type EventEnvelope } from '@infrasignal/shared';
import { connect } from '@nats-io/transport-node';
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as SocketIoServer } from 'socket.io';
import { WebSocket, WebSocketServer } from 'ws';

type Notification = ReturnType<typeof toNotification>;
type Send = (notification: Notification) => void;

/** Longer than any run: pings are not what is measured. */
const QUIET_MS = 3_600_000;

/** RFC 6455 section 1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A text of 126 to 65,535 bytes as one frame (RFC 6455 section 5.2); every notification is in between. */
function toFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.from([0x81, 126, 0, 0]);
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

function serveByWs(server: Server): Send {
  const { clients } = new WebSocketServer({ server });
  return (notification) => {
    const text = JSON.stringify(notification);
    for (const client of clients) if (client.readyState === WebSocket.OPEN) client.send(text);
  };
}

function serveSocketIo(server: Server): Send {
  const io = new SocketIoServer(server, { transports: ['websocket'], serveClient: false, pingInterval: QUIET_MS });
  return (notification) => {
    io.emit('notification', notification);
  };
}

function serveRaw(server: Server): Send {
  const sockets = new Set<Duplex>();
  server.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}${ACCEPT_SUFFIX}`).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.write(`${lines.join('\r\n')}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.resume();
    socket.on('error', () => undefined); // a client that is gone
    socket.on('close', () => sockets.delete(socket));
    sockets.add(socket);
  });
  let due: Buffer[] = [];
  const flush = (): void => {
    const [first] = due;
    const frames = due.length === 1 && first !== undefined ? first : Buffer.concat(due);
    due = [];
    for (const socket of sockets) socket.write(frames);
  };
  return (notification) => {
    if (due.push(toFrame(JSON.stringify(notification))) === 1) setImmediate(flush);
  };
}

const WAYS: Readonly<Record<string, (server: Server) => Send>> = {
  ws: serveByWs,
  'socket.io': serveSocketIo,
  raw: serveRaw,
};

const { NATS_URL = '', SUBJECT = '', WAY = '', HOST, PORT } = process.env;
const server = createServer((_request, response) => response.end());
const send = WAYS[WAY]?.(server);
if (send === undefined) throw new Error(`no such way: ${WAY}`);
const broker = await connect({ servers: NATS_URL });
broker.subscribe(SUBJECT, {
  callback: (error, message) => {
    if (error !== null) throw error;
    const event = message.json<EventEnvelope>();
    const cursor = encodeFeedCursor({ sequence: event.seq, eventId: event.id });
    send(toNotification(Number(event.data.user_id), event, userLogin, cursor));
  },
});
await broker.flush();
process.once('SIGTERM', () => process.exit());
server.listen(Number(PORT), HOST ?? '127.0.0.1');
