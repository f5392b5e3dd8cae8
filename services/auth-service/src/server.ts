import { runService } from '@infrasignal/service-kit';
import { buildApp } from './app.ts';
import { loadConfig } from './config.ts';
import { migrateDatabase, requireMigratedDatabase } from './db/migrate.ts';
import { lowerPoolPriority } from './lib/thread-pool-priority.ts';

await runService('auth-service', async () => {
  const config = loadConfig(process.env);
  await lowerPoolPriority({ poolSize: config.threadPoolSize, niceness: config.hashNiceness });
  await (config.isMigratingAtStart ? migrateDatabase : requireMigratedDatabase)(config.databaseUrl);
  const app = await buildApp(config);
  return { app, host: config.host, port: config.port, shutdownGraceMs: config.shutdownGraceSeconds * 1000 };
});
