import { runService } from '@infrasignal/service-kit';
import { buildApp } from './app.ts';
import { loadConfig } from './config.ts';
import { migrateDatabase } from './db/migrate.ts';

await runService('auth-service', async () => {
  const config = loadConfig(process.env);
  await migrateDatabase(config.databaseUrl);
  const app = await buildApp(config);
  return { app, host: config.host, port: config.port, shutdownGraceMs: config.shutdownGraceSeconds * 1000 };
});
