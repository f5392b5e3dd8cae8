import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

/**
 * Stands between the nodes of a NATS cluster and can keep one stream's log from one of them, and nothing else: that
 * node is alive, is given consumers, answers reads, and is behind. It knows the protocol of routes as far as to take
 * messages apart.
 */
export class LaggingRoutes {
  readonly #t: Teardown;
  #behind: { readonly node: string; readonly raftGroup: string } | null = null;

  constructor(t: Teardown) {
    this.#t = t;
  }

  /** From now on nothing of this Raft group reaches the node or comes from it. */
  keepBehind(node: string, raftGroup: string): void {
    this.#behind = { node, raftGroup };
  }

  letCatchUp(): void {
    this.#behind = null;
  }

  /** @returns the port of a proxy in front of a node's route port */
  async interpose(routePort: number): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((client) => {
      const upstream = connect({ host: '127.0.0.1', port: routePort });
      const names = new Set<string>();
      this.#pass(client, upstream, names);
      this.#pass(upstream, client, names);
      for (const socket of [client, upstream]) sockets.add(socket);
    });
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    this.#t.teardown(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  #pass(from: Socket, to: Socket, names: Set<string>): void {
    let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
    from.setNoDelay(true);
    from.on('error', () => undefined); // `close` follows
    from.on('close', () => to.destroy());
    from.on('data', (chunk) => {
      const { frames, left } = takeFrames(Buffer.concat([rest, chunk]));
      rest = left;
      for (const frame of frames) {
        const name = /^INFO .*"server_name":"([^"]+)"/.exec(frame.line)?.[1];
        if (name !== undefined) names.add(name);
        if (!this.#isKept(frame.line, names)) to.write(frame.bytes);
      }
    });
  }

  #isKept(line: string, names: ReadonlySet<string>): boolean {
    if (this.#behind === null || !names.has(this.#behind.node)) return false;
    const { raftGroup } = this.#behind;
    // `RMSG [account] subject [reply] size`: a route of its own account does not name it.
    return line.split(' ', 3).some((word) => word.startsWith('$NRG.') && word.endsWith(raftGroup));
  }
}

interface Frame {
  readonly line: string;
  readonly bytes: Buffer;
}

/** The whole frames at the beginning, and what is left: a line, and with a message its payload. */
function takeFrames(bytes: Buffer): { frames: Frame[]; left: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) break;
    const line = bytes.subarray(at, lineEnd).toString('latin1');
    const payloadBytes = /^[RHL]MSG /.test(line) ? Number(line.slice(line.lastIndexOf(' ') + 1)) + 2 : 0;
    const end = lineEnd + 2 + payloadBytes;
    if (end > bytes.length) break;
    frames.push({ line, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return { frames, left: bytes.subarray(at) };
}
