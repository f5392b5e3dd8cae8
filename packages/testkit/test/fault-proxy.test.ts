// If this breaks, a fault scenario believes that it came between a question and its answer, and did not.
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { test } from 'tap';
import { startFaultProxy, waitFor, type TestContext } from '../src/index.ts';

/** A server that answers everything in capitals, and remembers what it heard. */
async function startShouter(t: TestContext): Promise<{ port: number; heard: () => string }> {
  let heard = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard += chunk.toString();
      socket.write(chunk.toString().toUpperCase());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { port: (server.address() as AddressInfo).port, heard: () => heard };
}

function open(t: TestContext, port: number): { socket: Socket; answered: () => string; isClosed: () => boolean } {
  const socket = connect(port, '127.0.0.1');
  let answered = '';
  let isClosed = false;
  socket.on('data', (chunk) => (answered += chunk.toString()));
  socket.on('error', () => undefined);
  socket.on('close', () => (isClosed = true));
  t.teardown(() => socket.destroy());
  return { socket, answered: () => answered, isClosed: () => isClosed };
}

test('the proxy forwards, holds back, swallows answers and cuts', async (t) => {
  const { port: target, heard } = await startShouter(t);
  const proxy = await startFaultProxy(t, { port: target });
  const [first, second, third] = [open(t, proxy.port), open(t, proxy.port), open(t, proxy.port)];
  first.socket.write('one ');
  await waitFor(() => first.answered() === 'ONE ');

  proxy.setRule((chunk) => {
    if (chunk.includes('secret')) return 'swallow-answers';
    return chunk.includes('never') ? 'hold' : 'forward';
  });
  first.socket.write('secret ');
  await waitFor(() => heard().includes('secret '), { description: 'the question to arrive' });
  second.socket.write('never ');
  third.socket.write('three ');
  await waitFor(() => third.answered() === 'THREE ');
  proxy.setRule(null);
  second.socket.write('behind it ');
  third.socket.write('still ');
  await waitFor(() => third.answered() === 'THREE STILL ');
  t.equal(first.answered(), 'ONE ', 'the answer did not come back');
  t.notMatch(heard(), 'never', 'the question was held');
  t.notMatch(heard(), 'behind it', 'and everything after it, whatever the rule is now');

  proxy.cut();
  await waitFor(() => [first, second, third].every(({ isClosed }) => isClosed()));
});
