import { OUTBOX_HINT_SUBJECT } from '@infrasignal/shared';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { OutboxRelay, type OutboxRelayOptions } from '../outbox/outbox-relay.ts';

declare module 'fastify' {
  interface FastifyInstance {
    outboxRelay: OutboxRelay;
    /** Call after a commit that wrote an event: it leaves at once instead of at the next poll. */
    announceEvent(): void;
  }
}

export type OutboxOptions = Omit<OutboxRelayOptions, 'pool' | 'log'>;

async function outbox(app: FastifyInstance, options: OutboxOptions): Promise<void> {
  const relay = new OutboxRelay({ ...options, pool: app.backgroundPool, log: app.log });
  app.decorate('outboxRelay', relay);
  app.decorate('announceEvent', () => {
    if (relay.isLeading) relay.wake();
    else app.broker.connection?.publish(OUTBOX_HINT_SUBJECT);
  });
  app.addHook('onReady', async () => relay.start());
  // Hooks run in reverse order of registration: the relay stops before the pool and the broker close.
  app.addHook('onClose', () => relay.stop());
}

/** Runs the relay of this instance for the life of the app. */
export const outboxPlugin = fp(outbox, { name: 'outbox', dependencies: ['database', 'broker'], fastify: '5.x' });
