// If this breaks, an orchestrator restarts healthy processes or sends traffic to ones that cannot serve it.
import Fastify, { type FastifyInstance } from 'fastify';
import t from 'tap';
import { errorHandlerPlugin, healthPlugin, serverOptions } from '../src/index.ts';

async function build(): Promise<FastifyInstance> {
  const app = Fastify(serverOptions());
  await app.register(errorHandlerPlugin);
  await app.register(healthPlugin);
  return app;
}

t.test('/readyz tells which condition does not hold; /healthz does not care', async (t) => {
  const app = await build();
  t.teardown(() => app.close());
  let failure: string | null = null;
  app.addReadinessCheck('disk', () => failure);
  app.addReadinessCheck('clock', async () => null);
  const ask = async (path: string): Promise<[number, unknown]> => {
    const answer = await app.inject(path);
    return [answer.statusCode, answer.json<unknown>()];
  };
  t.same(await ask('/readyz'), [200, { status: 'ready' }]);
  failure = 'the disk is full';
  t.same(await ask('/readyz'), [503, { status: 'not_ready', failures: { disk: 'the disk is full' } }]);
  t.same(await ask('/healthz'), [200, { status: 'ok' }]);
  failure = null;
  t.same(await ask('/readyz'), [200, { status: 'ready' }]);
});

t.test('a check that breaks is a condition that does not hold', async (t) => {
  const app = await build();
  t.teardown(() => app.close());
  app.addReadinessCheck('sync', () => {
    throw new Error('secret');
  });
  app.addReadinessCheck('async', () => Promise.reject(new Error('secret')));
  const answer = await app.inject('/readyz');
  t.equal(answer.statusCode, 503);
  t.same(answer.json<unknown>(), {
    status: 'not_ready',
    failures: { sync: 'its check failed', async: 'its check failed' },
  });
});
