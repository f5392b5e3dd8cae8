// `npm run infrasignal -- <command>`: the operator's commands. Without an environment of its own it takes that of the stack
// that `npm start` (or `npm start -- --cluster`) runs here.
import { existsSync, readFileSync } from 'node:fs';
import {
  CLUSTER_STATE_DIRECTORY,
  DEFAULT_STATE_DIRECTORY,
  statePaths,
} from '../packages/local-stack/src/state-paths.mjs';
import { bootstrap } from './bootstrap.mjs';
import { runScript } from './console.mjs';

await runScript(async () => {
  await bootstrap();
  if (!process.env.DATABASE_URL && !process.env.DATABASE_URL_FILE) takeEnvironmentOfStack();
  const { register } = await import('tsx/esm/api');
  register();
  await import('../services/auth-service/src/infrasignal.ts');
});

function takeEnvironmentOfStack() {
  const path = [DEFAULT_STATE_DIRECTORY, CLUSTER_STATE_DIRECTORY]
    .map((directory) => statePaths(directory).operatorEnvironment)
    .find((candidate) => existsSync(candidate));
  if (path === undefined) return;
  process.env = { ...JSON.parse(readFileSync(path, 'utf8')), ...process.env };
}
