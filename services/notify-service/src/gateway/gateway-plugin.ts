import websocket from '@fastify/websocket';
import { closeCodes, SUBPROTOCOL } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { createServer } from 'node:http';
import type { Config } from '../config.ts';
import type { Connection } from '../hub/connection.ts';
import { increment } from '../hub/hub-stats.ts';
import { UserSockets } from '../hub/user-sockets.ts';
import { systemTimers as timers } from '../lib/timers.ts';
import { AdmissionControl } from './admission.ts';
import { drain, planDrain } from './drain.ts';
import { EventLoopWatch } from './event-loop-watch.ts';
import { gatewayErrors } from './gateway-errors.ts';
import { createGatewayStats, type GatewayStats } from './gateway-stats.ts';
import { Joiner } from './joiner.ts';
import type { Listener } from './listener.ts';
import { LoadGate } from './load-gate.ts';
import { sendError, type ConnectionContext } from './open-connection.ts';
import { ReconnectTickets } from './reconnect-tickets.ts';
import { SocketAnnouncer } from './socket-announcer.ts';
import { UpgradeDoor } from './upgrade-door.ts';

const ROUTE = '/ws/notifications';

/** 16 KiB: clients send pings and tokens. RFC 6455 close code 1009 above it. */
const INBOUND_BYTES_MAX = 16_384;

/** A message in more pieces than this is an attack: the largest one fits in twelve packets. */
const INBOUND_FRAGMENTS_MAX = 64;

/** A peer that broke the protocol has this long to answer our close; then its connection is dropped. */
const CLOSE_TIMEOUT_MS = 3_000;

const WEB_SOCKET_OPTIONS = {
  maxPayload: INBOUND_BYTES_MAX,
  maxFragments: INBOUND_FRAGMENTS_MAX,
  closeTimeout: CLOSE_TIMEOUT_MS,
  perMessageDeflate: false,
  clientTracking: false,
  // The token rides as a subprotocol too, and must never be the one that is answered with.
  handleProtocols: (protocols: Set<string>) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
};

declare module 'fastify' {
  interface FastifyInstance {
    gatewayStats: GatewayStats;
    eventLoopWatch: EventLoopWatch;
    /** What every route needs that lets somebody listen: `gate` first, then `admission`, then `openConnection`. */
    connectionContext: ConnectionContext;
  }
  interface FastifyRequest {
    /** Set once a handshake has been accepted. */
    listener: Listener | null;
  }
}

export interface GatewayOptions {
  readonly config: Config;
}

function createContext(app: FastifyInstance, config: Config, eventLoop: EventLoopWatch): ConnectionContext {
  const { accessTokens, eventConsumer, feedResume, hub, jwksKeys, log, presence, userResume } = app;
  const stats = createGatewayStats();
  // Tokens end by the clock of whoever signed them, not by that of this machine.
  const { timeOfDay } = jwksKeys;
  const tickets = new ReconnectTickets(config.ticketKeys);
  return {
    hub,
    stats,
    tickets,
    timers: { now: timers.now, timeOfDay },
    presence,
    log,
    joiner: new Joiner({
      consumer: eventConsumer,
      userResume,
      feedResume,
      pingIntervalMs: config.pingIntervalSeconds * 1_000,
    }),
    admission: new AdmissionControl({
      accessTokens,
      keys: jwksKeys,
      consumer: eventConsumer,
      tickets,
      hub,
      stats,
      timers: { timeOfDay },
      allowedOrigins: config.allowedOrigins,
      hasPublicFeed: config.isDebug,
    }),
    gate: new LoadGate({ ...config, sockets: hub, eventLoop, now: timers.now }),
    userSockets: new UserSockets<Connection>({
      limit: config.socketsPerUserMax,
      nodeId: randomUUID(),
      clock: timers,
      // To the millisecond, where that of the keys is known to half a second; a wrong one is made up for by what is heard.
      timeOfDay: timers.timeOfDay,
      evict: (connection) => {
        sendError(hub, connection, 'too_many_sockets', false);
        hub.close(connection, closeCodes.tooManySockets);
      },
    }),
  };
}

/** What runs beside the sockets, for as long as the service does. */
function runAlong(app: FastifyInstance, eventLoop: EventLoopWatch, { stats, userSockets }: ConnectionContext): void {
  const announcer = new SocketAnnouncer({ broker: app.broker, userSockets, stats });
  app.addHook('onReady', async () => {
    eventLoop.start();
    announcer.start();
  });
  app.addHook('onClose', async () => {
    announcer.stop();
    eventLoop.stop();
  });
}

async function gateway(app: FastifyInstance, { config }: GatewayOptions): Promise<void> {
  const eventLoop = new EventLoopWatch();
  const context = createContext(app, config, eventLoop);
  const { admission, hub, stats } = context;
  app.decorate('gatewayStats', stats);
  app.decorate('eventLoopWatch', eventLoop);
  app.decorate('connectionContext', context);
  app.decorateRequest('listener', null);
  runAlong(app, eventLoop, context);

  // It never listens: the plugin hears of the upgrades that the door passes on.
  const routes = createServer();
  await app.register(websocket, {
    options: { ...WEB_SOCKET_OPTIONS, server: routes },
    errorHandler: (error, socket, request) => {
      // A peer that breaks RFC 6455, or goes away: `ws` is closing already, with the right code. Ending the connection
      // here would cut that code off, and a line in the log for each would be a stranger's to write.
      if (socket.readyState !== socket.OPEN) return;
      request.log.error({ err: error }, 'a socket could not be served');
      socket.terminate();
    },
    preClose: (done) => {
      admission.close();
      const plan = planDrain(hub.size, config.shutdownGraceSeconds * 1_000, config.drainSocketsPerSecond);
      app.log.info({ sockets: hub.size, ...plan }, 'closing sockets');
      void drain(hub, plan, timers).finally(done);
    },
  });
  const { messagesPerSecondMax, trustProxyHops } = config;
  const { log, websocketServer: webSockets } = app;
  const door = new UpgradeDoor({ context, webSockets, routes, path: ROUTE, trustProxyHops, messagesPerSecondMax, log });
  app.server.on('upgrade', (request, stream, head) => {
    void door.receive(request, stream, head);
  });
  // Every other method with an upgrade would be refused by `ws`, in HTML (RFC 6455 section 4.1: it is a GET).
  app.addHook('onRequest', async ({ ws: isUpgrade, method }) => {
    if (isUpgrade && method !== 'GET') throw new ProblemError(gatewayErrors.invalid_handshake);
  });

  app.route({
    method: 'GET',
    url: ROUTE,
    // A handshake is refused before the upgrade: after it, a client only sees a connection that closes.
    onRequest: async ({ raw, ws: isUpgrade }) => {
      if (isUpgrade) throw door.findRefusal(raw) ?? new ProblemError(gatewayErrors.invalid_handshake);
      increment(stats.handshakes, gatewayErrors.upgrade_required.code);
      throw new ProblemError(gatewayErrors.upgrade_required, { headers: { upgrade: 'websocket' } });
    },
    handler: () => {
      throw new Error('every request to here is refused before it');
    },
  });
}

/** The WebSocket edge: `/ws/notifications`, and what other ways to listen share with it. */
export const gatewayPlugin = fp(gateway, {
  name: 'gateway',
  fastify: '5.x',
  dependencies: ['realtime', 'access-tokens', 'presence', 'error-handler'],
});
