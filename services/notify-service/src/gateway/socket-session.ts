import { closeCodes, parseClientFrame } from '@infrasignal/shared';
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { variantOf, type Listener } from './listener.ts';
import { openConnection, type ConnectionContext } from './open-connection.ts';
import { encodeTextFrame } from './text-frame.ts';
import { WebSocketPort } from './web-socket-port.ts';

const PONG_FRAME = encodeTextFrame({ type: 'pong' });

/** RFC 6455 section 7.1.5: the connection ended without a close frame. */
const ABNORMAL_CLOSURE = 1006;

/**
 * One accepted socket from the upgrade to its end. Every handler is attached before this function returns, in the
 * same turn of the event loop as the upgrade: what a client sends right behind its handshake is not lost.
 *
 * @param stream the connection underneath the WebSocket
 * @param after the cursor that the client gave, null for none
 */
export function startSocketSession(
  context: ConnectionContext,
  webSocket: WebSocket,
  stream: Duplex,
  listener: Listener,
  after: string | null,
): void {
  const { hub, stats, log } = context;
  const carrier = {
    port: new WebSocketPort(webSocket, stream, listener.hasControlFrames),
    variant: variantOf(listener),
    encode: encodeTextFrame,
  };
  const connection = openConnection(context, carrier, listener, after);

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
