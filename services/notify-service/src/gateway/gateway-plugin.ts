import websocket from '@fastify/websocket';
import { SUBPROTOCOL } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Config } from '../config.ts';
import { increment } from '../hub/hub-stats.ts';
import { AdmissionControl } from './admission.ts';
import { gatewayErrors } from './gateway-errors.ts';
import { createGatewayStats, type GatewayStats } from './gateway-stats.ts';
import { checkQuery, checkUpgrade, readProtocols, readToken } from './handshake.ts';
import { Joiner } from './joiner.ts';
import type { Listener } from './listener.ts';
import { startSocketSession } from './socket-session.ts';
import { encodeTextFrame } from './text-frame.ts';

const ROUTE = '/ws/notifications';

/** 16 KiB: clients send pings and tokens. RFC 6455 close code 1009 above it. */
const INBOUND_BYTES_MAX = 16_384;

/** A message in more pieces than this is an attack: the largest one fits in twelve packets. */
const INBOUND_FRAGMENTS_MAX = 64;

/** Clients of a node that closes come back at a random moment within this time, so that the others are not stormed. */
const RECONNECT_WINDOW_MS = 5_000;

/** Sockets have this long to answer the close of the node; well below any grace period. */
const DRAIN_TIMEOUT_MS = 4_000;

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
    /** Who may listen to what; for every route that lets somebody. */
    admission: AdmissionControl;
    /** Brings connections with a cursor in, whatever carries them. */
    joiner: Joiner;
  }
  interface FastifyRequest {
    /** Set once a handshake has been accepted. */
    listener: Listener | null;
  }
}

export interface GatewayOptions {
  readonly config: Config;
}

type Query = Readonly<Record<string, unknown>>;

/** A cursor given twice is no cursor; an empty one is one that nobody handed out. */
function readAfter({ after }: Query): string | null {
  if (after === undefined) return null;
  return typeof after === 'string' ? after : '';
}

async function gateway(app: FastifyInstance, { config }: GatewayOptions): Promise<void> {
  const { accessTokens, feedResume, hub, eventConsumer, jwksKeys, ownResume } = app;
  const admission = new AdmissionControl({
    accessTokens,
    keys: jwksKeys,
    consumer: eventConsumer,
    hub,
    allowedOrigins: config.allowedOrigins,
    hasPublicFeed: config.isDebug,
  });
  const stats = createGatewayStats();
  const pingIntervalMs = config.pingIntervalSeconds * 1_000;
  const joiner = new Joiner({ consumer: eventConsumer, ownResume, feedResume, pingIntervalMs });
  app.decorate('gatewayStats', stats);
  app.decorate('admission', admission);
  app.decorate('joiner', joiner);
  app.decorateRequest('listener', null);

  await app.register(websocket, {
    options: WEB_SOCKET_OPTIONS,
    errorHandler: (error, socket, request) => {
      // A peer that breaks RFC 6455, or goes away: `ws` is closing already, with the right code. Ending the connection
      // here would cut that code off, and a line in the log for each would be a stranger's to write.
      if (socket.readyState !== socket.OPEN) return;
      request.log.error({ err: error }, 'a socket could not be served');
      socket.terminate();
    },
    preClose: (done) => {
      admission.close();
      void drain(app).finally(done);
    },
  });

  /** Everything that can refuse a handshake does so here, before the upgrade. */
  async function admit(request: FastifyRequest): Promise<Listener> {
    const { headers } = request;
    if (!request.ws) throw new ProblemError(gatewayErrors.upgrade_required, { headers: { upgrade: 'websocket' } });
    checkUpgrade(headers);
    checkQuery(request.query as Query);
    const protocols = readProtocols(headers['sec-websocket-protocol']);
    return admission.admit({
      token: readToken(headers.authorization, protocols),
      origin: headers.origin,
      hasControlFrames: protocols.hasControlFrames,
    });
  }

  app.route({
    method: 'GET',
    url: ROUTE,
    // A handshake is refused before the upgrade: after it, a client only sees a connection that closes.
    onRequest: async (request) => {
      try {
        request.listener = await admit(request);
        increment(stats.handshakes, 'accepted');
      } catch (error) {
        increment(stats.handshakes, error instanceof ProblemError ? error.definition.code : 'internal_error');
        throw error;
      }
    },
    handler: () => {
      throw new ProblemError(gatewayErrors.upgrade_required, { headers: { upgrade: 'websocket' } });
    },
    wsHandler: (socket, request) => {
      const { listener } = request;
      if (listener === null) throw new Error('a socket reached its handler without having been accepted');
      const options = { hub, joiner, stats, log: request.log };
      startSocketSession(options, socket, request.raw.socket, listener, readAfter(request.query as Query));
    },
  });
}

/** Sends every socket away, tells those who understand when to come back, and waits until they are gone. */
async function drain(app: FastifyInstance): Promise<void> {
  const { hub } = app;
  app.log.info({ sockets: hub.size }, 'closing sockets');
  hub.drain(encodeTextFrame({ type: 'reconnect', window_ms: RECONNECT_WINDOW_MS }));
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DRAIN_TIMEOUT_MS);
  });
  await Promise.race([hub.whenEmpty(), timeout]);
  clearTimeout(timer);
  hub.terminateAll();
}

/** The WebSocket edge: `/ws/notifications`. */
export const gatewayPlugin = fp(gateway, {
  name: 'gateway',
  fastify: '5.x',
  dependencies: ['realtime', 'access-tokens', 'error-handler'],
});
