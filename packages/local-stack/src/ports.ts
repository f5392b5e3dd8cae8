import { createServer } from 'node:net';
import { errorCode } from './stack-error.ts';

/** A TCP port of 127.0.0.1 that nobody listens on at this moment. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('No port was assigned'));
        else resolve(address.port);
      });
    });
  });
}

/** What `checkPort` found: free, taken by somebody, not allowed for us, or an address this machine has not. */
export type PortState = 'free' | 'taken' | 'forbidden' | 'no-such-address';

/** Tries to listen on a port of one address and lets go of it again. */
export function checkPort(host: string, port: number): Promise<PortState> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      const code = errorCode(error);
      if (code === 'EADDRINUSE') resolve('taken');
      else if (code === 'EACCES' || code === 'EPERM') resolve('forbidden');
      else if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') resolve('no-such-address');
      else reject(error);
    });
    server.listen({ host, port, exclusive: true, ipv6Only: true }, () => {
      server.close(() => {
        resolve('free');
      });
    });
  });
}
