import { addressOf, ProblemError } from '@infrasignal/service-kit';
import type { FastifyBaseLogger } from 'fastify';
import type { IncomingMessage, Server } from 'node:http';
import { parse } from 'node:querystring';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';
import { increment } from '../hub/hub-stats.ts';
import { checkQuery, checkUpgrade, readAfter, readProtocols, readToken, type Query } from './handshake.ts';
import type { Listener } from './listener.ts';
import type { ConnectionContext } from './open-connection.ts';
import { SocketSession } from './socket-session.ts';

/** Path and query of a request's target; a fragment is never sent, and is cut off if it is. */
const TARGET_EXPRESSION = /^([^?#]*)(?:\?([^#]*))?/;

export interface UpgradeDoorOptions {
  readonly context: ConnectionContext;
  readonly webSockets: WebSocketServer;
  /** Where the routes hear of upgrades: whatever is not let in goes on to there. */
  readonly routes: Server;
  /** Of the sockets, without a slash at its end. */
  readonly path: string;
  readonly trustProxyHops: number;
  readonly messagesPerSecondMax: number;
  readonly log: FastifyBaseLogger;
}

/**
 * Where handshakes come in. One that is accepted becomes a socket here, and Fastify never hears of it: its request, its
 * log, its hooks and the answer that is never written cost more than everything else that a handshake needs, and all of
 * it would have to be taken off the socket again. One that is refused goes to the routes with the reason, so that it is
 * answered, logged and counted as any other request.
 */
export class UpgradeDoor {
  readonly #options: UpgradeDoorOptions;
  readonly #refusals = new WeakMap<IncomingMessage, Error>();

  constructor(options: UpgradeDoorOptions) {
    this.#options = options;
  }

  /** Why this request is not let in; undefined if it was never asked for. */
  findRefusal(request: IncomingMessage): Error | undefined {
    return this.#refusals.get(request);
  }

  /** Handles one `upgrade` of the server; never throws. */
  async receive(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const { context, routes } = this.#options;
    const query = this.#readQuery(request);
    if (query === null) {
      routes.emit('upgrade', request, stream, head);
      return;
    }
    // Node has let go of the connection: without anybody who hears of it, its reset would end the process.
    stream.on('error', destroyIt);
    let listener: Listener;
    try {
      listener = await this.#admit(request, query);
    } catch (error) {
      increment(context.stats.handshakes, error instanceof ProblemError ? error.definition.code : 'internal_error');
      this.#refusals.set(request, error instanceof Error ? error : new Error(String(error)));
      stream.off('error', destroyIt);
      routes.emit('upgrade', request, stream, head);
      return;
    }
    increment(context.stats.handshakes, 'accepted');
    stream.off('error', destroyIt);
    this.#letIn({ request, stream, head }, listener, readAfter(query));
  }

  /** The parsed query of a handshake that is for here; null: the routes know what to say to it. */
  #readQuery({ headers, httpVersion, method, url = '' }: IncomingMessage): Query | null {
    const [, path = '', query = ''] = TARGET_EXPRESSION.exec(url) ?? [];
    const isNameless = httpVersion === '1.1' && headers.host === undefined;
    if (method !== 'GET' || isNameless || !this.#isOurs(path)) return null;
    return parse(query);
  }

  /** By the rules of the router: with the slash at its end or without, and each character in either spelling. */
  #isOurs(path: string): boolean {
    const { path: ours } = this.#options;
    if (path === ours || path === `${ours}/`) return true;
    if (!path.includes('%')) return false;
    try {
      const decoded = decodeURI(path);
      return decoded === ours || decoded === `${ours}/`;
    } catch {
      return false;
    }
  }

  /** Everything that can refuse a handshake does so here, before the upgrade; the cheapest first. */
  #admit(request: IncomingMessage, query: Query): Promise<Listener> {
    const { context, trustProxyHops } = this.#options;
    const { headers } = request;
    const address = addressOf(request, trustProxyHops);
    context.gate.check(address);
    checkUpgrade(headers);
    checkQuery(query);
    const { hasControlFrames, ticket, ...protocols } = readProtocols(headers['sec-websocket-protocol']);
    const token = readToken(headers.authorization, protocols);
    return context.admission.admit({ token, ticket, address, origin: headers.origin, hasControlFrames });
  }

  #letIn({ request, stream, head }: Handshake, listener: Listener, after: string | null): void {
    const { context, log, messagesPerSecondMax, webSockets } = this.#options;
    // The answer and the greeting leave in one packet if the greeting needs nothing but memory: it is due in the turn of
    // the event loop that begins next, and the answer waits no longer than that.
    stream.cork();
    setImmediate(() => {
      setImmediate(() => {
        stream.uncork();
      });
    });
    webSockets.handleUpgrade(request, stream, head, (webSocket) => {
      log.debug({ remoteAddress: listener.address, user_id: listener.userId }, 'a handshake was accepted');
      SocketSession.start({ context, webSocket, stream, listener, after, messagesPerSecondMax });
    });
  }
}

/** What Node hands over with an `upgrade`. */
interface Handshake {
  readonly request: IncomingMessage;
  readonly stream: Duplex;
  /** What came behind the request. */
  readonly head: Buffer;
}

function destroyIt(this: Duplex): void {
  this.destroy();
}
