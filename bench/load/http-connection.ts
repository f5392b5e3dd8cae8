import { nowMs } from '@infrasignal/testkit';
import { connect, type Socket } from 'node:net';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** When its last byte was read, as of `nowMs`. */
  readonly receivedAt: number;
}

/** Longer than every limit inside the services: an answer that takes this long never comes. */
const SILENCE_TIMEOUT_MS = 15_000;

const HEAD_END = Buffer.from('\r\n\r\n');

async function openSocket(host: string): Promise<Socket> {
  const { hostname, port } = new URL(`http://${host}`);
  const socket = connect({ host: hostname, port: Number(port) });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

function toAuthorization(bearer: string | undefined): string {
  return bearer === undefined ? '' : `authorization: Bearer ${bearer}\r\n`;
}

interface Waiting {
  resolve(answer: HttpAnswer): void;
  reject(error: Error): void;
}

/**
 * One kept connection that carries one JSON request at a time, and is opened anew when the server has said that the
 * last answer was the last. Does so little that a core which it shares with the servers is theirs: Node's own client
 * takes several times as long per request, and a slow generator makes every server look alike.
 */
export class HttpConnection {
  readonly #host: string;
  #socket: Socket;
  /** The server ends this connection: the next request needs another. */
  #isOver = false;
  #received: Buffer = Buffer.alloc(0);
  #waiting: Waiting | null = null;

  private constructor(socket: Socket, host: string) {
    this.#host = host;
    this.#socket = this.#adopt(socket);
  }

  #adopt(socket: Socket): Socket {
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_TIMEOUT_MS);
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#readAnswer();
    });
    socket.on('timeout', () => {
      if (this.#waiting !== null) socket.destroy(new Error(`no answer within ${SILENCE_TIMEOUT_MS} ms`));
    });
    socket.on('error', (error) => {
      this.#fail(error);
    });
    socket.on('close', () => {
      if (socket === this.#socket) this.#fail(new Error('the server closed the connection'));
    });
    return socket;
  }

  /** @param url of the server, for instance `http://127.0.0.1:8001` */
  static async open(url: string): Promise<HttpConnection> {
    const { host } = new URL(url);
    return new HttpConnection(await openSocket(host), host);
  }

  /** @throws Error when the connection breaks or stays silent, or an answer is no plain one with a length */
  post(path: string, body: object, bearer?: string): Promise<HttpAnswer> {
    const text = JSON.stringify(body);
    return this.#send(
      `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-type: application/json\r\n${toAuthorization(bearer)}` +
        `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
  }

  /** @throws Error as {@link post} */
  get(path: string, bearer?: string): Promise<HttpAnswer> {
    return this.#send(`GET ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${toAuthorization(bearer)}\r\n`);
  }

  #send(request: string): Promise<HttpAnswer> {
    if (this.#waiting !== null) return Promise.reject(new Error('a request is on its way already'));
    if (this.#isOver) return this.#reopen().then(() => this.#send(request));
    if (this.#socket.destroyed) return Promise.reject(new Error('the connection is closed'));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  async #reopen(): Promise<void> {
    const over = this.#socket;
    this.#socket = this.#adopt(await openSocket(this.#host));
    this.#isOver = false;
    over.destroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  #readAnswer(): void {
    const headLength = this.#received.indexOf(HEAD_END);
    if (headLength < 0) return;
    const head = this.#received.toString('latin1', 0, headLength);
    const status = Number(head.slice(9, 12));
    const length = status === 204 ? 0 : Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? NaN);
    if (!Number.isInteger(status) || Number.isNaN(length)) {
      this.#socket.destroy(new Error(`not an answer that can be read: ${head.slice(0, 200)}`));
      return;
    }
    if (/\r\nconnection: *close/i.test(head)) this.#isOver = true;
    const end = headLength + HEAD_END.length + length;
    if (this.#received.length < end) return;
    const body = this.#received.toString('utf8', headLength + HEAD_END.length, end);
    this.#received = this.#received.subarray(end);
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ status, body, receivedAt: nowMs() });
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
  }
}
