import { runService } from '@infrasignal/service-kit';
import { buildApp } from './app.ts';
import { loadConfig } from './config.ts';

await runService('notify-service', async () => {
  const config = loadConfig(process.env);
  return {
    app: await buildApp(config),
    host: config.host,
    port: config.port,
    shutdownGraceMs: config.shutdownGraceSeconds * 1_000,
  };
});
