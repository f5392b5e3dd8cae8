import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { waitFor } from '@infrasignal/local-stack';
import { closeSocket, FaultPipe, type NetworkConditions } from './fault-pipe.ts';
import type { TestContext } from './test-context.ts';

/** As the services have it: it must not be the proxy that keeps clients waiting who come back all at once. */
const BACKLOG = 4_096;

/**
 * A rule of the proxy, asked for every chunk that a client sends, before it is forwarded. `hold`: this chunk and
 * everything after it on this connection stays here. `swallow-answers`: it is forwarded, and nothing that the server
 * says from now on reaches the client. `forward`: nothing special.
 */
export type ProxyVerdict = 'forward' | 'hold' | 'swallow-answers';
export type ProxyRule = (chunk: Buffer) => ProxyVerdict;

/** From the client to the server, from the server to the client, or both. */
export type Direction = 'up' | 'down' | 'both';

export interface FaultProxyOptions {
  /** For jitter and loss. */
  readonly random?: () => number;
}

/** Where somebody has another port for the time of the refusal, it is waited for at most this long. */
const LISTEN_TIMEOUT_MS = 10_000;

interface Link {
  readonly client: Socket;
  readonly upstream: Socket;
  readonly up: FaultPipe;
  readonly down: FaultPipe;
}

/**
 * A TCP proxy on loopback that stands between two parts of the system: gets between a question and its answer by a
 * rule, and is as bad a network as it is told to be. Everything can be changed while connections live.
 */
export class FaultProxy {
  readonly #target: { readonly port: number };
  readonly #random: () => number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  /** Those that came while nothing went up: the server has not heard of them. */
  readonly #waiting = new Set<Socket>();
  #rule: ProxyRule | null = null;
  #up: NetworkConditions = {};
  #down: NetworkConditions = {};
  #port = 0;

  constructor(target: { readonly port: number }, { random = Math.random }: FaultProxyOptions = {}) {
    this.#target = target;
    this.#random = random;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      this.#accept(client);
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that go through now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Replaces the rule; null forwards everything. Connections that are held or swallowed stay so until they end. */
  setRule(rule: ProxyRule | null): void {
    this.#rule = rule;
  }

  /** Replaces the conditions of a direction, for the connections that are there and for new ones; `{}`: no faults. */
  setNetwork(conditions: NetworkConditions, direction: Direction = 'both'): void {
    if (direction !== 'down') this.#up = conditions;
    if (direction !== 'up') this.#down = conditions;
    for (const link of this.#links) {
      link.up.conditions = this.#up;
      link.down.conditions = this.#down;
    }
    if (this.#up.isBlackHole === true) return;
    for (const client of this.#waiting) this.#connect(client);
    this.#waiting.clear();
  }

  /** Keeps every connection and accepts new ones, and nothing passes, until {@link setNetwork} or {@link heal}. */
  blackHole(): void {
    this.setNetwork({ isBlackHole: true });
  }

  /** Closes every connection, at both ends. */
  cut(): void {
    for (const socket of this.#sockets()) closeSocket(socket, 'destroy');
  }

  /** Resets every connection, at both ends: what was on the way is lost, and both hear of it at once (RST). */
  reset(): void {
    for (const socket of this.#sockets()) closeSocket(socket, 'reset');
  }

  /** Resets what is there and refuses new connections, as a machine does on which the server does not run. */
  refuse(): void {
    this.#server.close();
    this.reset();
  }

  /** The end of {@link refuse}; nothing else changes. */
  async listen(): Promise<void> {
    if (this.#server.listening) return;
    const listenOnce = (): Promise<boolean> =>
      new Promise((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen({ host: '127.0.0.1', port: this.#port, backlog: BACKLOG }, () => {
          this.#server.off('error', reject);
          resolve(true);
        });
      });
    await waitFor(listenOnce, { timeoutMs: LISTEN_TIMEOUT_MS, description: `port ${this.#port} to be free again` });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Everything passes again, at once; the rule stays. */
  async heal(): Promise<void> {
    this.setNetwork({});
    await this.listen();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }

  #sockets(): Socket[] {
    return [...this.#waiting, ...[...this.#links].flatMap(({ client, upstream }) => [client, upstream])];
  }

  #accept(client: Socket): void {
    client.setNoDelay(true);
    client.on('error', () => undefined); // `close` follows
    client.on('close', () => this.#waiting.delete(client));
    if (this.#up.isBlackHole === true) this.#waiting.add(client);
    else this.#connect(client);
  }

  #connect(client: Socket): void {
    const upstream = connect({ host: '127.0.0.1', port: this.#target.port, allowHalfOpen: true, noDelay: true });
    upstream.on('error', () => undefined); // `close` follows
    let isHeld = false;
    let isSwallowing = false;
    const askRule = (chunk: Buffer): boolean => {
      const verdict = this.#rule?.(chunk) ?? 'forward';
      if (verdict === 'hold') isHeld = true;
      if (verdict === 'swallow-answers') isSwallowing = true;
      return !isHeld;
    };
    const random = this.#random;
    const link: Link = {
      client,
      upstream,
      up: new FaultPipe({ source: client, sink: upstream, conditions: this.#up, random, filter: askRule }),
      down: new FaultPipe({
        source: upstream,
        sink: client,
        conditions: this.#down,
        random,
        filter: () => !isSwallowing,
      }),
    };
    this.#links.add(link);
    for (const socket of [client, upstream]) {
      socket.on('close', () => {
        if (client.closed && upstream.closed) this.#links.delete(link);
      });
    }
  }
}

/** A proxy in front of a server on 127.0.0.1, on a free port, closed with the test. */
export async function startFaultProxy(
  t: TestContext,
  target: { readonly port: number },
  options: FaultProxyOptions = {},
): Promise<FaultProxy> {
  const proxy = new FaultProxy(target, options);
  await proxy.listen();
  t.teardown(() => {
    proxy.close();
  });
  return proxy;
}
