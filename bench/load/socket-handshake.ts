import { connect, type Socket } from 'node:net';

/** A value of 16 bytes; what it is does not matter to a server (RFC 6455 section 4.2.1). */
const SOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

const PATH = '/ws/notifications/';

/** What a client asks for, and what it has when it is in. */
export interface SocketGoal {
  readonly port: number;
  /** Header lines beside those that every handshake has. */
  readonly headers: readonly string[];
  /** With its query. Default: the path of notify-service. */
  readonly path?: string;
  /** A text that the client sends once it has received something, for protocols that want to be asked. */
  readonly word?: { readonly text: string; readonly after: string };
  /** What the answer holds that has come to its end. */
  readonly until: string;
}

/** The request that opens a socket, byte for byte. @param headers lines beside those that every handshake has */
export function toHandshake(headers: readonly string[], path = PATH): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${SOCKET_KEY}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A text of up to 125 bytes as a client sends it: masked, and a mask of zeros is one (RFC 6455 section 5.3). */
export function toClientFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

/** One handshake on a connection of its own, until the answer that is expected. @throws Error for another one */
export function openRawSocket(goal: SocketGoal): Promise<{ socket: Socket; received: string }> {
  const { port, headers, path, word, until } = goal;
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    let isSaid = word === undefined;
    const listen = (chunk: Buffer): void => {
      received += chunk.toString('latin1');
      if (!isSaid && received.includes(word?.after ?? '')) {
        isSaid = true;
        socket.write(toClientFrame(word?.text ?? ''));
      }
      if (!received.includes(until)) return;
      socket.off('data', listen);
      resolve({ socket, received });
    };
    socket.on('data', listen);
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error(`${until} was expected, but the answer was ${received.slice(0, 300)}`));
    });
    socket.write(toHandshake(headers, path));
  });
}
