import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from './test-context.ts';

/**
 * A rule of the proxy, asked for every chunk that a client sends, before it is forwarded. `hold`: this chunk and
 * everything after it on this connection stays here. `swallow-answers`: it is forwarded, and nothing that the server
 * says from now on reaches the client. `forward`: nothing special.
 */
export type ProxyVerdict = 'forward' | 'hold' | 'swallow-answers';
export type ProxyRule = (chunk: Buffer) => ProxyVerdict;

export interface FaultProxy {
  readonly port: number;
  /** Replaces the rule; null forwards everything. Connections that are held or swallowed stay so until they end. */
  setRule(rule: ProxyRule | null): void;
  /** Cuts every connection. */
  cut(): void;
}

/** A TCP proxy on loopback that stands between two parts of the system and can get between a question and its answer. */
export async function startFaultProxy(t: TestContext, target: { port: number }): Promise<FaultProxy> {
  let rule: ProxyRule | null = null;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port: target.port });
    let isHeld = false;
    let isSwallowing = false;
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined); // `close` follows
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      const verdict = rule?.(chunk) ?? 'forward';
      if (verdict === 'hold') isHeld = true;
      if (verdict === 'swallow-answers') isSwallowing = true;
      if (!isHeld) upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (!isSwallowing) client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    setRule: (next) => {
      rule = next;
    },
    cut,
  };
}
