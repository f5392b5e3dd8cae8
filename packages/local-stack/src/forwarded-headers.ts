import type { IncomingMessage } from 'node:http';

// Whatever a client says about who it is: the gateway is the first hop and knows better.
const CLAIMS_OF_THE_CLIENT = /^(x-forwarded-|forwarded$|x-real-ip$|x-client-ip$|true-client-ip$|via$)/;

/** Replaces everything that a client may have written into the forwarding headers by what this hop knows. */
export function replaceForwardedHeaders(request: IncomingMessage): void {
  const { headers, socket } = request;
  for (const name of Object.keys(headers)) {
    if (CLAIMS_OF_THE_CLIENT.test(name)) delete headers[name];
  }
  const address = socket.remoteAddress ?? '';
  headers['x-forwarded-for'] = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  headers['x-forwarded-proto'] = 'http';
  if (headers.host !== undefined) headers['x-forwarded-host'] = headers.host;
  // This hop has answered `Expect: 100-continue` itself.
  delete headers.expect;
}
