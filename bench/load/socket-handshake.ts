/** A value of 16 bytes; what it is does not matter to a server (RFC 6455 section 4.2.1). */
const SOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The request that opens a socket, byte for byte. @param headers lines beside those that every handshake has */
export function toHandshake(headers: readonly string[]): string {
  const lines = [
    'GET /ws/notifications/ HTTP/1.1',
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${SOCKET_KEY}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
