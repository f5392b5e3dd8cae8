import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

/**
 * How long a request may still be on its way when closing begins. Shorter cuts off slow senders; longer only delays
 * the end for the sake of connections on which nothing comes.
 */
const ARRIVAL_GRACE_MS = 1_000;

export interface GracefulCloseOptions {
  /** In milliseconds; for tests. */
  readonly arrivalGraceMs?: number;
}

/**
 * The kernel resets connections that were made and not yet accepted when the listening socket closes: on a busy machine
 * dozens, each with a request that nobody may repeat. A turn of the event loop accepts them all; the next closes.
 */
async function acceptWhatWaits(): Promise<void> {
  for (let turns = 2; turns > 0; turns -= 1) await new Promise(setImmediate);
}

async function gracefulClose(app: FastifyInstance, options: GracefulCloseOptions): Promise<void> {
  const { arrivalGraceMs = ARRIVAL_GRACE_MS } = options;
  let inProgress = 0;
  let isClosing = false;
  let isGraceOver = false;

  // Upgraded sockets are not among what this closes: whoever upgraded them ends them.
  const closeIfDone = (): void => {
    if (isGraceOver && inProgress === 0) app.server.closeAllConnections();
  };
  app.server.on('request', (_request, response) => {
    inProgress += 1;
    response.once('close', () => {
      inProgress -= 1;
      closeIfDone();
    });
  });
  app.addHook('preClose', async () => {
    isClosing = true;
    setTimeout(() => {
      isGraceOver = true;
      closeIfDone();
    }, arrivalGraceMs).unref();
    await acceptWhatWaits();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (isClosing) reply.header('connection', 'close');
    done();
  });
}

/**
 * Ends connections when the app closes, because Node waits for all of them but the idle ones it finds at that moment:
 * a connection whose request is answered while closing would stay for its keep-alive time, and one on which nothing
 * was ever sent (a browser's preconnect, a balancer's pool) for ever. Requests in progress are always finished.
 */
export const gracefulClosePlugin = fp(gracefulClose, { name: 'graceful-close', fastify: '5.x' });
