import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from './stack-error.ts';

// Below 15000 well-known programs have their ports; the system hands out ports from about 32768 upwards.
const LOWEST_PORT = 15_000;
const DEFAULT_EPHEMERAL_START = 32_768;
const ATTEMPTS_MAX = 100;

const PORT_CHECK_INTERVAL_MS = 100;

/**
 * What this process was given is not given to it again: whoever asks for several ports before anything listens on them
 * would now and then get one twice. A cluster of nine did in one start of a hundred, and then waited for a server that
 * had ended. There are thousands of them, and a process asks for hundreds.
 */
const givenOut = new Set<number>();

/**
 * Keeps other processes of ours from giving out a port, for as long as this one lives: they run side by side too, and a
 * port is listened on some time after it was found. False when another process has claimed it. The claim is a name that
 * Linux forgets with the process, however it ends, and keeps apart for each network, as it does ports. Elsewhere, and
 * where the name is refused for another reason, there is no claim.
 */
export function claimPort(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true);
  return new Promise((resolve) => {
    const claim = createServer((stranger) => stranger.destroy()).unref();
    claim.on('error', (error) => {
      resolve(errorCode(error) !== 'EADDRINUSE');
    });
    claim.listen({ path: `\0infrasignal-port-${port}`, exclusive: true }, () => {
      resolve(true);
    });
  });
}

/**
 * A TCP port of 127.0.0.1 that nobody listens on at this moment, and that no other process of ours was given. It lies
 * below the range from which the system takes ports for outgoing connections and for "any port": otherwise one of those
 * could sit on it by the time it is used, or while a crashed server is started again.
 */
export async function findFreePort(): Promise<number> {
  const end = readEphemeralStart();
  for (let attempt = 0; attempt < ATTEMPTS_MAX && end > LOWEST_PORT; attempt += 1) {
    const port = randomInt(LOWEST_PORT, end);
    if (givenOut.has(port)) continue;
    givenOut.add(port);
    if ((await checkPort('127.0.0.1', port)) === 'free' && (await claimPort(port))) return port;
  }
  return await findAnyFreePort();
}

function readEphemeralStart(): number {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0]);
  } catch {
    return DEFAULT_EPHEMERAL_START; // not Linux; macOS begins at 49152
  }
}

function findAnyFreePort(): Promise<number> {
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

/**
 * Waits a moment for a port to become free. Asking first matters: a stranger's server of the same kind on that port
 * would answer in place of ours.
 */
export async function isPortFreeSoon(port: number, timeoutMs: number): Promise<boolean> {
  const startedAt = performance.now();
  while ((await checkPort('127.0.0.1', port)) !== 'free') {
    if (performance.now() - startedAt > timeoutMs) return false;
    await sleep(PORT_CHECK_INTERVAL_MS);
  }
  return true;
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
