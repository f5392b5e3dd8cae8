/** What happened at the edge, as plain counters. */
export interface GatewayStats {
  /** Handshakes by how they ended: `accepted`, or the code of the problem they were refused with. */
  handshakes: Map<string, number>;
  /** Joins of `infrasignal.v1` sockets: `fresh`, `recovered`, a reason for no recovery, or `failed`. */
  joins: Map<string, number>;
  /** Messages of clients, valid or not. */
  inbound: number;
  inboundInvalid: number;
}

export function createGatewayStats(): GatewayStats {
  return { handshakes: new Map(), joins: new Map(), inbound: 0, inboundInvalid: 0 };
}
