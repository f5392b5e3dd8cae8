import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the clone. */
export const PROJECT_ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/**
 * What was downloaded and can be downloaded again (pnpm, the nats-server binary). It lies beside the other
 * downloaded things, so that `npm run reset`, which removes data, leaves it, and `rm -rf node_modules` does not.
 */
export const TOOLS_DIRECTORY = join(PROJECT_ROOT, 'node_modules/.cache/infrasignal');
