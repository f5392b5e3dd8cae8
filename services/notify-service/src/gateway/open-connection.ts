import { closeCodes, type SocketErrorCode } from '@infrasignal/shared';
import type { FastifyBaseLogger } from 'fastify';
import type { Connection, Expiry } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { increment } from '../hub/hub-stats.ts';
import type { Frame, SocketPort, Variant } from '../hub/ports.ts';
import type { UserSockets } from '../hub/user-sockets.ts';
import type { Timers } from '../lib/timers.ts';
import type { PresenceDesk } from '../presence/presence-desk.ts';
import { JoinAbandonedError } from '../relay/resume.ts';
import type { AdmissionControl } from './admission.ts';
import type { GatewayStats } from './gateway-stats.ts';
import type { Joiner } from './joiner.ts';
import type { Listener } from './listener.ts';
import type { LoadGate } from './load-gate.ts';
import type { ReconnectTickets } from './reconnect-tickets.ts';

/** What connections of any kind share on this node. */
export interface ConnectionContext {
  readonly hub: Hub;
  readonly joiner: Joiner;
  readonly admission: AdmissionControl;
  readonly tickets: ReconnectTickets;
  readonly gate: LoadGate;
  readonly userSockets: UserSockets<Connection>;
  readonly presence: PresenceDesk;
  readonly stats: GatewayStats;
  readonly timers: Pick<Timers, 'now' | 'timeOfDay'>;
  readonly log: FastifyBaseLogger;
}

/** What carries a connection. */
export interface Carrier {
  readonly port: SocketPort;
  /** In which form it is sent events. */
  readonly variant: Variant;
}

/**
 * Registers an accepted listener with the hub and with what counts connections and, if it holds cursors, brings it in:
 * greeting, replay, live. Whoever calls tells the hub of signs of life (`heard`) and of the end (`closed`).
 *
 * @param after the cursor that the client gave, null for none
 */
export function openConnection(
  context: ConnectionContext,
  { port, variant }: Carrier,
  listener: Listener,
  after: string | null,
): Connection {
  const { gate, hub, presence, stats, timers, userSockets } = context;
  const { address, audience, expiresAtMs, hasControlFrames, sessionId, userId } = listener;
  const leave = gate.enter(address);
  increment(stats.connections, variant);
  const connection = hub.open({
    audience,
    sessionId,
    variant,
    port,
    isResumable: hasControlFrames,
    expiry: expiresAtMs === null ? null : expiryOf(port, hasControlFrames, expiresAtMs, timers.timeOfDay()),
    onGone: () => {
      leave();
      presence.gone(connection, listener);
      increment(stats.connections, variant, -1);
      if (counted !== null) userSockets.closed(counted);
    },
  });
  presence.opened(connection, listener);
  const counted = userId === null ? null : userSockets.opened(userId, connection);
  if (hasControlFrames) void join(context, connection, listener, after);
  return connection;
}

/** The end of a right to listen as the hub needs it, with the warning for those who understand it. */
export function expiryOf(port: SocketPort, hasControlFrames: boolean, expiresAtMs: number, nowMs: number): Expiry {
  const warning = (): Frame =>
    port.encode({ type: 'token_expiring', expires_at: new Date(expiresAtMs).toISOString() });
  return { inMs: expiresAtMs - nowMs, warning: hasControlFrames ? warning : null };
}

/** Tells a client what was not done; old clients know no errors. */
export function sendError(hub: Hub, connection: Connection, code: SocketErrorCode, isRetryable: boolean): void {
  if (!connection.isResumable) return;
  hub.send(connection, connection.port.encode({ type: 'error', code, retryable: isRetryable }));
}

async function join(
  { hub, joiner, stats, log }: ConnectionContext,
  connection: Connection,
  listener: Listener,
  after: string | null,
): Promise<void> {
  try {
    const { greeting, outcome, plan } = await joiner.join(connection, listener, after);
    increment(stats.joins, outcome);
    hub.admit(connection, { ...plan, seq: plan.seq ?? 0, greeting: connection.port.encode(greeting) });
  } catch (error) {
    if (error instanceof JoinAbandonedError) return;
    increment(stats.joins, 'failed');
    log.warn({ err: error }, 'a connection could not be joined, it is sent back to try again');
    hub.close(connection, closeCodes.resync);
  }
}
