import { waitFor } from '@infrasignal/testkit';
import type { ConnectedFrame, InheritedNotificationFrame, NotificationFrame } from '@infrasignal/shared';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket, type ClientOptions } from 'ws';

export interface ConnectOptions {
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string;
  /** False: the inherited feed. Default true, `infrasignal.v1`. */
  readonly isV1?: boolean;
  readonly after?: string;
  readonly headers?: Record<string, string>;
  readonly protocols?: string[];
  readonly path?: string;
  /** False: leaves pings unanswered. */
  readonly answersPings?: boolean;
  readonly options?: ClientOptions;
}

export interface Refusal {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown>;
}

export type Received = Record<string, unknown> & { type: string };

/** A client that keeps everything it was sent. */
export class SocketClient {
  readonly socket: WebSocket;
  readonly frames: Received[] = [];
  /** Set when the socket is closed. */
  closed: { code: number; reason: string } | null = null;

  constructor(socket: WebSocket, answersPings: boolean) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString('utf8')) as Received;
      if (frame.type === 'ping' && answersPings) socket.send('{"type":"pong"}');
      this.frames.push(frame);
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString('utf8') };
    });
    socket.on('error', () => undefined);
  }

  /** Resolves after the `connected` frame. @throws when the socket is closed before. */
  greeted(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        if (this.frames.some(({ type }) => type === 'connected')) resolve();
        else if (this.closed !== null) this.#failIfClosed(reject);
      };
      this.socket.on('message', settle);
      this.socket.on('close', settle);
      settle();
    });
  }

  get connected(): ConnectedFrame {
    const frame = this.frames.find(({ type }) => type === 'connected');
    if (frame === undefined) throw new Error('not connected yet');
    return frame as unknown as ConnectedFrame;
  }

  /** Everything but control frames, whose types have no dot. */
  get notifications(): NotificationFrame[] {
    return this.frames.filter(({ type }) => type.includes('.')) as unknown as NotificationFrame[];
  }

  get inherited(): InheritedNotificationFrame[] {
    return this.notifications as unknown as InheritedNotificationFrame[];
  }

  get seqs(): number[] {
    return this.notifications.map(({ seq }) => seq);
  }

  /** Where a client that keeps cursors stands. */
  get cursor(): string {
    return this.notifications.at(-1)?.cursor ?? this.connected.cursor;
  }

  async waitForNotifications(count: number, timeoutMs?: number): Promise<NotificationFrame[]> {
    const description = `${count} notifications`;
    await waitFor(() => this.notifications.length >= count, { timeoutMs, description, abortIf: () => this.#failIfClosed() });
    return this.notifications;
  }

  async waitForClose(timeoutMs?: number): Promise<{ code: number; reason: string }> {
    return waitFor(() => this.closed, { timeoutMs, description: 'the socket to be closed' });
  }

  close(): void {
    this.socket.close();
  }

  #failIfClosed(fail: (error: Error) => void = (error) => { throw error; }): void {
    if (this.closed !== null) fail(new Error(`the socket was closed: ${this.closed.code} ${this.closed.reason}`));
  }
}

function open(url: string, { token, isV1 = true, after, headers = {}, protocols, path = '/ws/notifications/', options }: ConnectOptions): WebSocket {
  const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new WebSocket(`${url.replace(/^http/, 'ws')}${path}${query}`, protocols ?? (isV1 ? ['infrasignal.v1'] : []), {
    perMessageDeflate: false,
    ...options,
    headers: { ...authorization, ...headers },
  });
}

/** Opens a socket; for `infrasignal.v1`, resolves after the `connected` frame. @throws when it is refused. */
export async function connectSocket(url: string, options: ConnectOptions = {}): Promise<SocketClient> {
  const socket = open(url, options);
  const client = new SocketClient(socket, options.answersPings ?? true);
  await once(socket, 'open');
  if (options.isV1 ?? true) await client.greeted();
  return client;
}

/** Tries a handshake that must fail, and gives the answer. */
export function expectRefusal(url: string, options: ConnectOptions = {}): Promise<Refusal> {
  const socket = open(url, options);
  return new Promise((resolve, reject) => {
    socket.on('open', () => {
      socket.terminate();
      reject(new Error('the handshake was accepted'));
    });
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
  });
}
