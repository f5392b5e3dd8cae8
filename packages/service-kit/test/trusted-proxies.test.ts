// If this breaks, a client chooses the address that it is limited and listed by, or everybody shares the proxy's.
import Fastify from 'fastify';
import t from 'tap';
import { trustHops } from '../src/index.ts';

const PROXY = '10.0.0.1';

t.test('A13 the address of a request is the one that the farthest trusted proxy saw', async (t) => {
  const table: [hops: number, forwarded: string | undefined, expected: string, why: string][] = [
    [0, undefined, PROXY, 'the connection'],
    [0, '203.0.113.9', PROXY, 'nobody in front: the header is the client’s own'],
    [0, '203.0.113.9, 198.51.100.7', PROXY, 'the same with two'],
    [1, undefined, PROXY, 'the header is absent: the proxy itself asks'],
    [1, '198.51.100.7', '198.51.100.7', 'what the proxy saw'],
    [1, '203.0.113.9, 198.51.100.7', '198.51.100.7', 'what the client claimed before is not believed'],
    [1, 'garbage, ::1, 127.0.0.1, 198.51.100.7', '198.51.100.7', 'however much it claimed'],
    [1, '203.0.113.9, 2001:db8::7', '2001:db8::7', 'IPv6'],
    [2, '203.0.113.9, 198.51.100.7, 10.0.0.2', '198.51.100.7', 'two proxies'],
    [2, '198.51.100.7', '198.51.100.7', 'one of two was passed by: no more than what is there'],
  ];
  for (const [hops, forwarded, expected, why] of table) {
    const app = Fastify({ trustProxy: trustHops(hops) });
    t.teardown(() => app.close());
    app.get('/', async ({ ip }) => ({ ip }));
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const answer = await app.inject({ url: '/', headers, remoteAddress: PROXY });
    t.equal(answer.json<{ ip: string }>().ip, expected, `${hops} hops, ${forwarded ?? 'no header'}: ${why}`);
  }
});
