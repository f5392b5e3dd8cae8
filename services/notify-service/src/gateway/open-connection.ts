import { closeCodes } from '@infrasignal/shared';
import type { FastifyBaseLogger } from 'fastify';
import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { Frame, SocketPort, Variant } from '../hub/ports.ts';
import { JoinAbandonedError } from '../relay/resume.ts';
import type { GatewayStats } from './gateway-stats.ts';
import type { Joiner } from './joiner.ts';
import type { Listener } from './listener.ts';

export interface ConnectionContext {
  readonly hub: Hub;
  readonly joiner: Joiner;
  readonly stats: GatewayStats;
  readonly log: FastifyBaseLogger;
}

/** What carries a connection: its far end, and how what we say becomes bytes on it. */
export interface Carrier {
  readonly port: SocketPort;
  /** In which form it is sent events. */
  readonly variant: Variant;
  /** A control frame, ready for the wire. */
  encode(frame: object): Frame;
}

/**
 * Registers an accepted listener with the hub and, if it holds cursors, brings it in: greeting, replay, live. Whoever
 * calls tells the hub of signs of life (`heard`) and of the end (`closed`).
 *
 * @param after the cursor that the client gave, null for none
 */
export function openConnection(context: ConnectionContext, carrier: Carrier, listener: Listener, after: string | null): Connection {
  const { hub } = context;
  const { audience, expiresAtMs, hasControlFrames, sessionId } = listener;
  const connection = hub.open({
    audience,
    sessionId,
    variant: carrier.variant,
    port: carrier.port,
    isResumable: hasControlFrames,
    expiresInMs: expiresAtMs === null ? null : expiresAtMs - Date.now(),
  });
  if (hasControlFrames) void join(context, carrier, connection, listener, after);
  return connection;
}

async function join(
  { hub, joiner, stats, log }: ConnectionContext,
  carrier: Carrier,
  connection: Connection,
  listener: Listener,
  after: string | null,
): Promise<void> {
  try {
    const { greeting, outcome, replay, lastSeq, seenThrough } = await joiner.join(connection, listener, after);
    increment(stats.joins, outcome);
    hub.admit(connection, { greeting: carrier.encode(greeting), replay, lastSeq, seenThrough });
  } catch (error) {
    if (error instanceof JoinAbandonedError) return;
    increment(stats.joins, 'failed');
    log.warn({ err: error }, 'a connection could not be joined, it is sent back to try again');
    hub.close(connection, closeCodes.resync);
  }
}
