import { isAbsolute, relative } from 'node:path';
import type { Environment } from './environment.ts';
import type { RunningStack } from './stack.ts';
import { DEFAULT_STATE_DIRECTORY, PROJECT_ROOT } from './state-paths.mjs';

/** What a newcomer needs to know once everything runs, in lines for the terminal. */
export function renderReadyBlock(stack: RunningStack, environment: Environment): string[] {
  const { url } = stack;
  const socketUrl = `${url.replace('http:', 'ws:')}/ws/notifications/`;
  const isPublicFeed = /^(1|true|yes|on)$/i.test(environment.DEBUG ?? 'true');
  const listen =
    `node --experimental-websocket -e "new WebSocket('${socketUrl}').onmessage = (e) => console.log(e.data)"`;
  const password = isPublicFeed ? 'password123' : 'a long Sentence nobody guesses';
  const register =
    `curl ${url}/api/register/ -H 'content-type: application/json' ` +
    `-d '{"phone_number":"0123456789","password":"${password}"}'`;
  const tryIt = isPublicFeed
    ? ['Try it: listen in one terminal, sign up in another.', `  ${listen}`, `  ${register}`]
    : ['Try it: sign up, and watch the notifications on the web page (DEBUG is off: a socket needs a token).', `  ${register}`];
  return [
    `infraSignal is ready: ${url}/`,
    '',
    `  Page    ${url}/              sign up, log in, watch the notifications arrive`,
    `  API     ${url}/api/docs/     every route, with examples`,
    '          POST /api/register/  /api/login/  /api/token/refresh/  /api/logout/   GET /api/me/  /api/sessions/',
    `  Socket  ${socketUrl}`,
    '',
    ...tryIt.map((line) => `  ${line}`),
    '',
    ...renderPlaces(stack),
    `  State   ${describeState(stack)}`,
    `  Logs    ${shorten(stack.paths.logs)}/*.log   (or start with: npm start -- --verbose)`,
    '  Stop    Ctrl-C',
    `  Reset   ${resetCommand(stack.paths.directory)}   (deletes the state)`,
  ];
}

/** The command that removes a state directory. */
export function resetCommand(stateDirectory: string): string {
  if (stateDirectory === DEFAULT_STATE_DIRECTORY) return 'npm run reset';
  return `npm run reset -- --state ${stateDirectory}`;
}

/** What runs where, if there are several of anything. */
function renderPlaces({ places }: RunningStack): string[] {
  if (!places.some(({ name }) => name.endsWith('-2'))) return [];
  const width = Math.max(...places.map(({ name }) => name.length));
  return places.map(({ name, address }, at) => `  ${at === 0 ? 'Runs' : '    '}    ${name.padEnd(width)}  ${address}`);
}

function describeState({ paths, databaseDirectory }: RunningStack): string {
  const own = `${shorten(paths.directory)}/`;
  return databaseDirectory.startsWith(paths.directory) ? own : `${own} and, for the database, ${databaseDirectory}`;
}

/** Relative to the clone when it lies in there. */
function shorten(path: string): string {
  const short = relative(PROJECT_ROOT, path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}
