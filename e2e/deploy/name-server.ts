import type { TestContext } from '@infrasignal/testkit';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** How long an answer may be kept, in seconds: names change under the test's hands. */
const TTL_SECONDS = 1;

const HEADER_BYTES = 12;
const TYPE_A = 1;

export interface NameServer {
  /** `127.0.0.1:<port>` */
  readonly address: string;
}

/**
 * Answers for the names of containers, as a container engine's own name server does: all addresses of a name, looked up
 * anew each time (RFC 1035, one question of type A, nothing else).
 */
export async function startNameServer(t: TestContext, lookUp: (name: string) => readonly string[]): Promise<NameServer> {
  const server = createSocket('udp4');
  server.on('message', (query, peer) => {
    server.send(answer(query, lookUp), peer.port, peer.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { address: `127.0.0.1:${server.address().port}` };
}

function answer(query: Buffer, lookUp: (name: string) => readonly string[]): Buffer {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const question = query.subarray(HEADER_BYTES, at + 5);
  const isForAddresses = query.readUInt16BE(at + 1) === TYPE_A;
  const addresses = isForAddresses ? lookUp(labels.join('.').toLowerCase()) : [];
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8580, 2); // an answer, with authority
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([header, question, ...addresses.map(toRecord)]);
}

/** The name by reference to the question's, class IN. */
function toRecord(address: string): Buffer {
  const record = Buffer.alloc(16);
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(TYPE_A, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(TTL_SECONDS, 6);
  record.writeUInt16BE(4, 10);
  for (const [at, byte] of address.split('.').entries()) record.writeUInt8(Number(byte), 12 + at);
  return record;
}
