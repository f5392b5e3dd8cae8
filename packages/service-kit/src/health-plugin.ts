import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/** Answers null when the part is fit to serve, else one sentence on what is missing. Must not take long. */
export type ReadinessCheck = () => string | null | Promise<string | null>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a condition without which this instance should get no traffic. */
    addReadinessCheck(name: string, check: ReadinessCheck): void;
    /** Asks every condition; name → what is missing, null when it holds. */
    checkReadiness(): Promise<ReadonlyMap<string, string | null>>;
  }
}

/**
 * Whoever asks must have an answer before it gives up itself (probes after 1 to 5 s, a scrape of the metrics after 10).
 * Shorter would call an instance unfit whose database is merely busy.
 */
const CHECK_TIMEOUT_MS = 2_000;

/** A check that breaks is a condition that does not hold: `/readyz` must say so, not fail itself. */
async function failureOf(check: ReadinessCheck): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      resolve('its check takes too long');
    }, CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([check(), timeout]);
  } catch {
    return 'its check failed';
  } finally {
    clearTimeout(timer);
  }
}

async function health(app: FastifyInstance): Promise<void> {
  const checks = new Map<string, ReadinessCheck>();
  let isClosing = false;
  app.decorate('addReadinessCheck', (name: string, check: ReadinessCheck) => void checks.set(name, check));
  app.decorate('checkReadiness', async () => {
    const answers = [...checks].map(async ([name, check]) => [name, await failureOf(check)] as const);
    return new Map(await Promise.all(answers));
  });
  app.addReadinessCheck('process', () => (isClosing ? 'shutting down' : null));
  app.addHook('preClose', async () => {
    isClosing = true;
  });

  app.get('/healthz', { logLevel: 'silent' }, async () => ({ status: 'ok' }));

  app.get('/readyz', { logLevel: 'silent' }, async (_request, reply) => {
    const failures = [...(await app.checkReadiness())].filter(([, failure]) => failure !== null);
    if (failures.length === 0) return { status: 'ready' };
    return reply.code(503).send({ status: 'not_ready', failures: Object.fromEntries(failures) });
  });
}

/** `/healthz`: the process answers. `/readyz`: every registered condition holds, else 503 and which does not. */
export const healthPlugin = fp(health, { name: 'health', fastify: '5.x' });
