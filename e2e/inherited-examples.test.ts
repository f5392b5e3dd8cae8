// If this breaks, the clients of the Django application stop working on the day it is replaced.
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { findFreePort, tryLockFile, waitFor } from '@infrasignal/local-stack';
import { chromium } from 'playwright-core';
import t, { type Test } from 'tap';
import {
  fixturePath,
  readNodeNotifications,
  readPythonNotifications,
  runExample,
} from './example-process.ts';
import { runNpmStart } from './npm-start.ts';

/** The examples name it; there is no other. */
const URL_IN_THE_EXAMPLES = 'http://localhost:8000';

/** Debian's: the libraries of the example are its packages. */
const PYTHON = '/usr/bin/python3';
const CHROMIUM = '/usr/bin/chromium';

/** Without the work in the background that a browser of a person does. */
const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** WebSocket is there by itself from Node 22 on. */
const NODE_FLAGS = Number(process.versions.node.split('.')[0]) >= 22 ? [] : ['--experimental-websocket'];

const PASSWORD = 'password123';

/** The two notifications of the old documentation, word for word, of its user 1. */
const documented = JSON.parse(readFileSync(fixturePath('original-notifications.json'), 'utf8')) as [object, object];
const [REGISTERED, LOGGED_IN] = documented.map((notification) => JSON.stringify(notification)) as [string, string];

// The whole stack from nothing, a browser and three programs.
t.setTimeout(240_000);

async function post(url: string, path: string, phoneNumber: string): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: phoneNumber, password: PASSWORD }),
  });
}

/** original.js as a script of the page that the stack serves: an address of this machine is open to its own pages only. */
async function openInChromium(t: Test) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: CHROMIUM_ARGUMENTS });
  t.teardown(() => browser.close());
  const page = await browser.newPage();
  await page.route('**/original.js', (route) =>
    route.fulfill({ contentType: 'text/javascript; charset=utf-8', path: fixturePath('original.js') }),
  );
  const printed: unknown[][] = [];
  page.on('console', (message) => {
    void Promise.all(message.args().map((argument) => argument.jsonValue())).then((values) => printed.push(values));
  });
  await page.goto(`${URL_IN_THE_EXAMPLES}/`);
  await page.addScriptTag({ url: '/original.js' });
  return { page, printed };
}

/** One test at a time has the port of the examples, whichever copy of the project it is in. */
async function takePortOfTheExamples(t: Test): Promise<void> {
  const path = join(tmpdir(), `infrasignal-port-8000-${userInfo().uid}.lock`);
  const lock = await waitFor(
    () => {
      const attempt = tryLockFile(path);
      return 'lock' in attempt && attempt.lock;
    },
    { description: `whoever holds ${path}`, timeoutMs: 120_000 },
  );
  t.teardown(() => lock.release());
}

t.test('R1 the inherited examples run unchanged against npm start and print the documented notifications', async (t) => {
  await takePortOfTheExamples(t);
  t.equal(await runNpmStart(t), URL_IN_THE_EXAMPLES);

  const browser = await openInChromium(t);
  const node = runExample(t, process.execPath, [...NODE_FLAGS, fixturePath('original.js')]);
  await waitFor(() => node.output().includes('Connexion WebSocket établie'), { description: 'original.js on Node to connect' });
  await waitFor(() => browser.printed.some(([text]) => text === 'Connexion WebSocket établie'), {
    description: 'original.js in Chromium to connect',
  });
  const inChromium = (): string[] =>
    browser.printed.filter(([text]) => text === 'Message reçu:').map(([, notification]) => JSON.stringify(notification));
  const onNode = (): string[] => readNodeNotifications(node.output());

  // original.py registers the user of the documentation, then listens.
  const python = runExample(t, PYTHON, [fixturePath('original.py')]);
  await waitFor(() => onNode().length === 1 && inChromium().length === 1, { description: 'the registration to be heard' });
  t.same(onNode(), [REGISTERED], 'on Node: user.registered, key for key');
  t.same(inChromium(), [REGISTERED], 'in Chromium: user.registered, key for key');
  const answer = await waitFor(() => /^\{.*\}$/m.exec(python.output())?.[0], { description: 'original.py to print it' });
  for (const key of ["'refresh': 'v1.", "'access': 'ey", "'user_id': 1", "'phone_number': '0123456789'"]) {
    t.match(answer, key, 'in Python: the answer to the registration');
  }

  // It does not say when it listens: logins until it has heard one.
  const onPython = (): string[] => readPythonNotifications(python.output());
  await waitFor(
    async () => {
      const response = await post(URL_IN_THE_EXAMPLES, '/api/login/', '0123456789');
      t.equal(response.status, 200);
      return waitFor(() => onPython().length > 0, { timeoutMs: 500 }).catch(() => false);
    },
    { description: 'original.py to hear a login' },
  );
  t.equal(onPython()[0], LOGGED_IN, 'in Python: user.login, byte for byte');
  await waitFor(() => inChromium().length > 1 && onNode().length > 1, { description: 'the login to be heard' });
  t.equal(onNode()[1], LOGGED_IN, 'on Node: user.login, key for key');
  t.equal(inChromium()[1], LOGGED_IN, 'in Chromium: user.login, key for key');

  await registersThroughTheExample(t, browser, onPython);
});

/** original.js defines `register` and leaves the call to its reader. */
async function registersThroughTheExample(
  t: Test,
  { page, printed }: Awaited<ReturnType<typeof openInChromium>>,
  onPython: () => string[],
): Promise<void> {
  const userData = (phoneNumber: string): string => JSON.stringify({ phone_number: phoneNumber, password: PASSWORD });

  await page.evaluate(`register(${userData('0123456790')})`);
  const success = await waitFor(() => printed.find(([text]) => text === 'Inscription réussie:'));
  t.match(success[1], { refresh: /^v1\./, access: /^ey/, user_id: 2, phone_number: '0123456790' }, 'register in Chromium');

  const script = `${readFileSync(fixturePath('original.js'), 'utf8')}\nregister(${userData('0123456791')});`;
  const node = runExample(t, process.execPath, [...NODE_FLAGS, '--eval', script]);
  // Its own socket hears the number too.
  const printedOnNode = await waitFor(() => /Inscription réussie: \{[^}]*\}/.exec(node.output())?.[0], {
    description: 'register on Node',
  });
  t.match(printedOnNode, 'user_id: 3', 'register on Node');
  t.match(printedOnNode, "phone_number: '0123456791'", 'register on Node');

  // Not counted: one more login may still be on its way.
  await waitFor(() => onPython().some((frame) => frame.includes('0123456791')), {
    description: 'both registrations to be heard',
  });
  const told = (userId: number, phoneNumber: string): string =>
    JSON.stringify({ ...documented[0], user_id: userId, phone_number: phoneNumber });
  t.same(onPython().slice(-2), [told(2, '0123456790'), told(3, '0123456791')], 'heard by original.py, byte for byte');
}

/** Status of a WebSocket handshake, with everything of it but a token. */
function handshake(url: string): Promise<number> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.from('sixteen bytes ..').toString('base64'),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/ws/notifications/`, { headers });
    outgoing.on('error', reject);
    const answered = (incoming: IncomingMessage): void => {
      resolve(incoming.statusCode ?? 0);
      outgoing.destroy();
    };
    outgoing.on('response', answered);
    outgoing.on('upgrade', answered);
    outgoing.end();
  });
}

t.test('R1 with DEBUG=false the same stack refuses the anonymous socket and the weak password', async (t) => {
  const url = await runNpmStart(t, { DEBUG: 'false', PORT: String(await findFreePort()) });
  t.equal(await handshake(url), 401);
  const response = await post(url, '/api/register/', '0123456789');
  t.equal(response.status, 400);
  const problem = (await response.json()) as Record<string, unknown>;
  t.match(problem, { status: 400, errors: [{ pointer: '/password' }] });
  t.ok(Array.isArray(problem.password), 'with the array that the Django application sent');
});
