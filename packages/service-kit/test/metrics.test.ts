/**
 * If this breaks: operators look at figures that are wrong or gone, or the metrics of a service take it down (a series
 * for each path that a stranger invents).
 */
import fastify, { type FastifyInstance } from 'fastify';
import t from 'tap';
import { waitFor } from '@infrasignal/testkit';
import { counter, gauge, healthPlugin, histogram, metricsPlugin } from '../src/index.ts';

interface Teardown {
  teardown(handler: () => unknown): unknown;
}

async function startApp(t: Teardown, prepare: (app: FastifyInstance) => void = () => undefined): Promise<FastifyInstance> {
  const app = fastify();
  await app.register(healthPlugin);
  await app.register(metricsPlugin, { service: 'a-service', version: '1.2.3' });
  prepare(app);
  t.teardown(() => app.close());
  await app.ready();
  return app;
}

async function scrape(app: FastifyInstance): Promise<string[]> {
  return (await app.inject('/metrics')).body.split('\n');
}

t.test('R17 /metrics answers in the text format, never kept by a cache', async (t) => {
  const app = await startApp(t);
  const { statusCode, headers, body } = await app.inject('/metrics');
  t.equal(statusCode, 200);
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  t.equal(headers['cache-control'], 'no-store');
  t.match(body, `infrasignal_build_info{service="a-service",version="1.2.3",node="${process.version}"} 1`);
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_open_fds']) {
    t.match(body, new RegExp(`^${name} [0-9.e+]+$`, 'm'));
  }
});

t.test('R17 requests are counted by the template of their route, whatever path was asked for', async (t) => {
  const app = await startApp(t, (app) => {
    app.get('/things/:id', async () => 'thing');
  });
  for (let at = 0; at < 20; at += 1) await app.inject(`/things/${at}`);
  for (let at = 0; at < 20; at += 1) await app.inject(`/nothing/${at}`);
  const lines = await scrape(app);
  const counts = lines.filter((line) => line.startsWith('infrasignal_http_requests_total{'));
  t.strictSame(counts.sort(), [
    'infrasignal_http_requests_total{method="GET",route="/things/:id",status="200"} 20',
    'infrasignal_http_requests_total{method="GET",route="unmatched",status="404"} 20',
  ]);
  t.ok(lines.includes('infrasignal_http_request_duration_seconds_count{method="GET",route="/things/:id"} 20'));
});

t.test('R17 an answer that goes on for as long as the client listens has no duration', async (t) => {
  const app = await startApp(t, (app) => {
    app.get('/stream', { config: { isLongLived: true } }, async () => 'stream');
  });
  await app.inject('/stream');
  const lines = await scrape(app);
  t.ok(lines.includes('infrasignal_http_requests_total{method="GET",route="/stream",status="200"} 1'));
  t.notOk(lines.some((line) => line.includes('duration_seconds') && line.includes('/stream')));
});

t.test('R17 readiness is told by condition', async (t) => {
  let failure: string | null = 'not there yet';
  const app = await startApp(t, (app) => {
    app.addReadinessCheck('events', () => failure);
    app.addReadinessCheck('database', () => Promise.reject(new Error('broken')));
  });
  const lines = await scrape(app);
  t.ok(lines.includes('infrasignal_ready{check="process"} 1'));
  t.ok(lines.includes('infrasignal_ready{check="events"} 0'));
  t.ok(lines.includes('infrasignal_ready{check="database"} 0'));
  t.strictSame((await app.inject('/readyz')).json(), {
    status: 'not_ready',
    failures: { events: 'not there yet', database: 'its check failed' },
  });
  failure = null;
  t.ok((await scrape(app)).includes('infrasignal_ready{check="events"} 1'));
});

t.test('R17 what is counted elsewhere is read when a scrape asks', async (t) => {
  const outcomes = new Map([['good', 1]]);
  const app = await startApp(t, ({ metrics }) => {
    metrics.read(counter('things_total', 'Things.', ['outcome']), () => outcomes);
    metrics.read(gauge('size', 'Size.'), () => 7);
    const observe = metrics.histogram(histogram('wait_seconds', 'Wait.', [1, 2], ['kind']));
    observe(1.5, 'long');
  });
  outcomes.set('bad', 2);
  const lines = await scrape(app);
  for (const line of [
    '# HELP things_total Things.',
    '# TYPE things_total counter',
    'things_total{outcome="good"} 1',
    'things_total{outcome="bad"} 2',
    'size 7',
    'wait_seconds_bucket{le="1",kind="long"} 0',
    'wait_seconds_bucket{le="2",kind="long"} 1',
  ]) {
    t.ok(lines.includes(line), line);
  }
  outcomes.delete('bad');
  t.notOk((await scrape(app)).includes('things_total{outcome="bad"} 2'), 'what is gone is not told for ever');
});

t.test('R17 a value that cannot be read takes no other with it', async (t) => {
  const app = await startApp(t, ({ metrics }) => {
    metrics.read(gauge('broken', 'Broken.'), () => Promise.reject(new Error('no')));
    metrics.read(gauge('unknown', 'Unknown.'), () => null);
    metrics.read(gauge('size', 'Size.'), () => 7);
  });
  await scrape(app);
  // A failure is told by the next scrape.
  const lines = await scrape(app);
  t.ok(lines.includes('size 7'));
  t.ok(lines.some((line) => /^broken nan$/i.test(line)));
  t.ok(lines.some((line) => /^unknown nan$/i.test(line)));
  t.ok(lines.includes('infrasignal_metric_read_failures_total{metric="broken"} 1'));
});

t.test('R17 a blocked event loop shows', async (t) => {
  const app = await startApp(t);
  const block = (): void => {
    const blockedUntil = performance.now() + 200;
    while (performance.now() < blockedUntil);
  };
  const countAbove = async (bound: string): Promise<number> => {
    const lines = await scrape(app);
    const value = (start: string): number => Number(lines.find((line) => line.startsWith(start))?.split(' ')[1]);
    const all = value('infrasignal_event_loop_delay_seconds_count');
    return all - value(`infrasignal_event_loop_delay_seconds_bucket{le="${bound}"}`);
  };
  // Blocked again until it shows: the watch may not have begun the first time.
  const isSeen = async (): Promise<boolean> => {
    block();
    return (await countAbove('0.1')) > 0;
  };
  await waitFor(isSeen, { description: 'a second with a delay above 100 ms' });
});
