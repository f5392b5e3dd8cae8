// Gets the clone ready, then runs a TypeScript program of this repository in this very process, so that a signal has no
// wrapper to get lost in: `node --conditions=@infrasignal/source scripts/run-source.mjs e2e/faults/cli.ts --help`.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap, ROOT } from './bootstrap.mjs';
import { runScript } from './console.mjs';

await runScript(async () => {
  await bootstrap();
  const [program] = process.argv.splice(2, 1); // what remains is the program's own
  const { register } = await import('tsx/esm/api');
  register();
  await import(pathToFileURL(join(ROOT, program)).href);
});
