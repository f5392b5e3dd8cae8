import { Broker, type BrokerAccess } from '@infrasignal/service-kit';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

declare module 'fastify' {
  interface FastifyInstance {
    broker: Broker;
  }
}

interface BrokerPluginOptions {
  readonly natsUrl: string;
  readonly brokerAccess: BrokerAccess;
}

async function broker(app: FastifyInstance, options: BrokerPluginOptions): Promise<void> {
  const connection = new Broker({ url: options.natsUrl, access: options.brokerAccess, name: `auth-service ${process.pid}`, log: app.log });
  app.decorate('broker', connection);
  app.addHook('onClose', () => connection.close());
}

/**
 * The connection to NATS, made in the background. It is no condition of readiness: registrations and logins are
 * promises kept by the outbox, which waits for the broker on their behalf.
 */
export const brokerPlugin = fp(broker, { name: 'broker', fastify: '5.x' });
