/**
 * If this breaks: clients see frames of the wrong length and drop the connection.
 */
import t from 'tap';
import { Receiver } from 'ws';
import { encodeTextFrame } from '../../src/gateway/text-frame.ts';

t.test('a text frame is read back by another implementation, at every edge of the length encodings', async (t) => {
  for (const length of [2, 3, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 300_000]) {
    const value = 'é'.repeat(Math.floor((length - 2) / 2)).padEnd(length - 2 - Math.floor((length - 2) / 2), 'x');
    const receiver = new Receiver({ isServer: false, maxPayload: 1_000_000 });
    const received = new Promise<string>((resolve) => receiver.on('message', (data: Buffer) => {
      resolve(data.toString('utf8'));
    }));
    receiver.write(encodeTextFrame(value));
    t.equal(JSON.parse(await received), value, `${length} bytes`);
  }
});
