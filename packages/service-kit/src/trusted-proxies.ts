import proxyAddr from '@fastify/proxy-addr';
import type { IncomingMessage } from 'node:http';

/**
 * Fastify's `trustProxy`: so many hops nearest to us are our own proxies, and only what they added to `X-Forwarded-For`
 * is believed. Counted, because whatever a client puts into the header itself stands to the left of that. With 0 the
 * address is the connection's, whatever the header says.
 */
export function trustHops(hops: number): (address: string, hop: number) => boolean {
  return (_address, hop) => hop < hops;
}

/** The address of a client as Fastify's `request.ip` tells it with {@link trustHops}, for requests that it never sees. */
export function addressOf(request: IncomingMessage, hops: number): string {
  return hops === 0 ? (request.socket.remoteAddress ?? '') : proxyAddr(request, trustHops(hops));
}
