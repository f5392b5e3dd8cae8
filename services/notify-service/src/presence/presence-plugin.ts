import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { randomUUID } from 'node:crypto';
import type { Config } from '../config.ts';
import { PresenceAudience } from './presence-audience.ts';
import { PresenceDesk } from './presence-desk.ts';
import { PresenceFeed } from './presence-feed.ts';
import { PresenceKeeper } from './presence-keeper.ts';
import { PresenceReporter } from './presence-reporter.ts';
import { createPresenceStats, type PresenceStats } from './presence-stats.ts';
import { PresentUsers } from './present-users.ts';

declare module 'fastify' {
  interface FastifyInstance {
    presence: PresenceDesk;
    presenceKeeper: Pick<PresenceKeeper, 'isKeeping'>;
    presenceStats: PresenceStats;
    presentUsers: Pick<PresentUsers, 'size'>;
  }
}

export interface PresenceOptions {
  readonly config: Config;
}

async function presence(app: FastifyInstance, { config }: PresenceOptions): Promise<void> {
  const { broker, hub, log } = app;
  const stats = createPresenceStats();
  const nodeId = randomUUID();
  const users = new PresentUsers();
  const audience = new PresenceAudience(hub, stats);
  const reporter = new PresenceReporter({ broker, users, nodeId, stats });
  const keeper = new PresenceKeeper({ broker, nodeId, replicas: config.streamReplicas, stats, log });
  const feed = new PresenceFeed({ broker, log, onChange: (change) => audience.tell(change) });
  app.decorate('presence', new PresenceDesk(users, audience));
  app.decorate('presenceKeeper', keeper);
  app.decorate('presenceStats', stats);
  app.decorate('presentUsers', users);
  app.addHook('onReady', async () => {
    reporter.start();
    keeper.start();
    feed.start();
  });
  app.addHook('onClose', async () => {
    reporter.stop();
    await Promise.all([keeper.stop(), feed.stop()]);
  });
}

/** Who is online: README.md in this folder. */
export const presencePlugin = fp(presence, { name: 'presence', fastify: '5.x', dependencies: ['realtime'] });
