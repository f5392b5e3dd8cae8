// `npm start`: gets the clone ready, then starts the local stack in this very process, so that a signal has no wrapper
// to get lost in. package.json starts it with `--conditions=@infrasignal/source`, which cannot be set later: workspace
// packages then resolve to their sources.
import { bootstrap } from './bootstrap.mjs';
import { runScript, ScriptError } from './console.mjs';

await runScript(async () => {
  if (!process.execArgv.includes('--conditions=@infrasignal/source')) {
    throw new ScriptError('The sources of the packages are not selected', 'Start with `npm start`.');
  }
  await bootstrap();
  const { register } = await import('tsx/esm/api');
  register();
  await import('../packages/local-stack/src/cli.ts');
});
