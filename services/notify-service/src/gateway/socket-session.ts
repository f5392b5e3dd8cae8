import { closeCodes, parseClientFrame } from '@infrasignal/shared';
import type { FastifyBaseLogger } from 'fastify';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import { JoinAbandonedError } from '../relay/resume.ts';
import type { GatewayStats } from './gateway-stats.ts';
import type { Joiner } from './joiner.ts';
import { variantOf, type Listener } from './listener.ts';
import { encodeTextFrame } from './text-frame.ts';
import { WebSocketPort } from './web-socket-port.ts';

const PONG_FRAME = encodeTextFrame({ type: 'pong' });

/** RFC 6455 section 7.1.5: the connection ended without a close frame. */
const ABNORMAL_CLOSURE = 1006;

export interface SocketSessionOptions {
  readonly hub: Hub;
  readonly joiner: Joiner;
  readonly stats: GatewayStats;
  readonly log: FastifyBaseLogger;
}

/**
 * One accepted socket from the upgrade to its end. Every handler is attached before this function returns, in the
 * same turn of the event loop as the upgrade: what a client sends right behind its handshake is not lost.
 *
 * @param stream the connection underneath the WebSocket
 * @param after the cursor that the client gave, null for none
 */
export function startSocketSession(
  { hub, joiner, stats, log }: SocketSessionOptions,
  webSocket: WebSocket,
  stream: Duplex,
  listener: Listener,
  after: string | null,
): void {
  const { hasControlFrames, expiresAtMs } = listener;
  const connection = hub.open({
    audience: listener.audience,
    sessionId: listener.sessionId,
    variant: variantOf(listener),
    port: new WebSocketPort(webSocket, stream, hasControlFrames),
    isResumable: hasControlFrames,
    expiresInMs: expiresAtMs === null ? null : expiresAtMs - Date.now(),
  });

  webSocket.on('message', (data, isBinary) => {
    stats.inbound += 1;
    hub.heard(connection);
    if (receive(hub, connection, data, isBinary)) return;
    stats.inboundInvalid += 1;
    hub.close(connection, closeCodes.invalidMessage);
  });
  webSocket.on('ping', () => {
    hub.heard(connection);
  });
  webSocket.on('pong', () => {
    hub.heard(connection);
  });
  webSocket.on('error', (error) => {
    // A frame that breaks RFC 6455: `ws` answers with the right code and closes; here it only has to be heard.
    log.debug({ err: error }, 'socket error');
  });
  webSocket.on('close', (code) => {
    hub.closed(connection, code === 0 ? ABNORMAL_CLOSURE : code);
  });

  if (!hasControlFrames) return;
  joiner.join(connection, listener, after).then(
    ({ admission, outcome }) => {
      increment(stats.joins, outcome);
      hub.admit(connection, admission);
    },
    (error: unknown) => {
      if (error instanceof JoinAbandonedError) return;
      increment(stats.joins, 'failed');
      log.warn({ err: error }, 'a socket could not be joined, it is sent back to try again');
      hub.close(connection, closeCodes.resync);
    },
  );
}

/** Handles a message of a client; false if it is none that a client may send. */
function receive(hub: Hub, connection: Connection, data: RawData, isBinary: boolean): boolean {
  if (isBinary) return false;
  // The inherited application read nothing and ignored everything: a client that says something is left alone.
  if (!connection.isResumable) return true;
  const frame = parseClientFrame((data as Buffer).toString('utf8'));
  if (frame === null) return false;
  if (frame.type === 'ping') hub.send(connection, PONG_FRAME);
  return true;
}
