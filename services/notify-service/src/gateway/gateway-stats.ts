import type { Variant } from '../hub/ports.ts';

/** What happened at the edge, as plain counters. */
export interface GatewayStats {
  /** Open connections by the form in which they are sent events. */
  connections: Map<Variant, number>;
  /** Handshakes by how they ended: `accepted`, or the code of the problem they were refused with. */
  handshakes: Map<string, number>;
  /** Reconnect tickets that came with a handshake: `accepted`, or `unknown` (another node's, another token's, too old). */
  tickets: Map<string, number>;
  /** Joins of connections with a cursor: `fresh`, `recovered`, a reason for no recovery, or `failed`. */
  joins: Map<string, number>;
  /** `auth` frames: `renewed`, the code of the `error` they were answered with, or the reason of the close. */
  renewals: Map<string, number>;
  /** Messages of clients, valid or not. */
  inbound: number;
  inboundInvalid: number;
  /** Announcements of users' sockets to and from other nodes; unreadable ones came on their subject and are none. */
  announcementsSent: number;
  announcementsHeard: number;
  announcementsUnreadable: number;
}

export function createGatewayStats(): GatewayStats {
  return {
    connections: new Map(),
    handshakes: new Map(),
    tickets: new Map(),
    joins: new Map(),
    renewals: new Map(),
    inbound: 0,
    inboundInvalid: 0,
    announcementsSent: 0,
    announcementsHeard: 0,
    announcementsUnreadable: 0,
  };
}
