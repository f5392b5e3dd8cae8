/**
 * What a WebSocket costs that nobody asks anything of: no token, no join, no limit. Three servers that let everybody in
 * and do nothing else. Runs as a process, set by WAY, HOST and PORT.
 *
 * WAY=ws: the upgrade of `ws` on Node's HTTP server. WAY=fastify-websocket: a route of @fastify/websocket.
 * WAY=socket.io: Socket.IO 4, by WebSocket alone, with pings as rare as those of the others.
 */
import websocket from '@fastify/websocket';
import Fastify from 'fastify';
import { createServer, type Server } from 'node:http';
import { Server as SocketIoServer } from 'socket.io';
import { WebSocketServer } from 'ws';

const PATH = '/ws/notifications/';

/** Longer than any run: pings are not what is measured. */
const QUIET_MS = 3_600_000;

const { WAY, HOST = '127.0.0.1', PORT } = process.env;

function listen(server: Server): void {
  server.listen(Number(PORT), HOST);
}

function serveWs(): void {
  const server = createServer((_request, response) => response.end());
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', () => undefined);
    socket.on('error', () => undefined); // a client that is gone
  });
  listen(server);
}

async function serveFastifyWebSocket(): Promise<void> {
  const app = Fastify();
  await app.register(websocket);
  app.get(PATH, { websocket: true }, (socket) => {
    socket.on('message', () => undefined);
    socket.on('error', () => undefined);
  });
  app.get('/readyz', () => ({}));
  await app.listen({ host: HOST, port: Number(PORT) });
}

function serveSocketIo(): void {
  const server = createServer((_request, response) => response.end());
  const io = new SocketIoServer(server, { transports: ['websocket'], serveClient: false, pingInterval: QUIET_MS });
  io.on('connection', (socket) => {
    socket.on('message', () => undefined);
  });
  listen(server);
}

process.once('SIGTERM', () => process.exit());
if (WAY === 'ws') serveWs();
else if (WAY === 'fastify-websocket') await serveFastifyWebSocket();
else serveSocketIo();
