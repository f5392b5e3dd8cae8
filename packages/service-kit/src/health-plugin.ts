import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/** Answers null when the part is fit to serve, else one sentence on what is missing. Must not take long. */
export type ReadinessCheck = () => string | null | Promise<string | null>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a condition without which this instance should get no traffic. */
    addReadinessCheck(name: string, check: ReadinessCheck): void;
  }
}

/** A check that breaks is a condition that does not hold: `/readyz` must say so, not fail itself. */
async function failureOf(check: ReadinessCheck): Promise<string | null> {
  try {
    return await check();
  } catch {
    return 'its check failed';
  }
}

async function health(app: FastifyInstance): Promise<void> {
  const checks = new Map<string, ReadinessCheck>();
  let isClosing = false;
  app.decorate('addReadinessCheck', (name: string, check: ReadinessCheck) => void checks.set(name, check));
  app.addHook('preClose', async () => {
    isClosing = true;
  });

  app.get('/healthz', { logLevel: 'silent' }, async () => ({ status: 'ok' }));

  app.get('/readyz', { logLevel: 'silent' }, async (_request, reply) => {
    const failures: Record<string, string> = {};
    if (isClosing) failures.process = 'shutting down';
    for (const [name, check] of checks) {
      const failure = await failureOf(check);
      if (failure !== null) failures[name] = failure;
    }
    const isReady = Object.keys(failures).length === 0;
    return reply.code(isReady ? 200 : 503).send(isReady ? { status: 'ready' } : { status: 'not_ready', failures });
  });
}

/** `/healthz`: the process answers. `/readyz`: every registered condition holds, else 503 and which does not. */
export const healthPlugin = fp(health, { name: 'health', fastify: '5.x' });
