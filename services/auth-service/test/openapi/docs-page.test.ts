// If this breaks, whoever wants to read the API in a browser sees an empty page; or the page runs what somebody else
// put into it, or tells somebody else that it was opened.
import { existsSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';
import tap, { test, type Test } from 'tap';
import { startAuth } from '../auth-fixture.ts';
import { Contract } from './contract.ts';

/** Where distributions put it. The test never downloads a browser. */
const CHROMIUM_PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const CHROMIUM_ARGUMENTS = ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--no-first-run'];

const executablePath = CHROMIUM_PATHS.find((path) => existsSync(path));
const skip = executablePath === undefined && 'no Chromium on this machine (apt-get install chromium)';

let origin: string;
let contract: Contract;
let browser: Browser;

tap.before(async () => {
  if (executablePath === undefined) return;
  const { app } = await startAuth(tap);
  origin = await app.listen({ host: '127.0.0.1', port: 0 });
  contract = await Contract.load(app);
  browser = await chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS });
  tap.teardown(() => browser.close());
});

interface Observed {
  readonly page: Page;
  /** Violations of the page's security policy, errors of its scripts, answers that were no success. */
  readonly complaints: string[];
  /** Requests to anybody else. */
  readonly foreign: string[];
}

async function openPage(t: Test, path: string): Promise<Observed> {
  const context = await browser.newContext();
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  const foreign: string[] = [];
  await page.exposeFunction('reportViolation', (violation: string) => void complaints.push(violation));
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', (event) =>
    window.reportViolation(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));`);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) foreign.push(url);
  });
  await page.goto(`${origin}${path}`);
  await page.waitForSelector('.opblock');
  return { page, complaints, foreign };
}

for (const path of ['/api/docs/', '/api/docs']) {
  test(`A34 ${path} shows every operation under its strict security policy`, { skip }, async (t) => {
    const { page, complaints, foreign } = await openPage(t, path);
    const shown = await page.locator('.opblock-summary-path').allTextContents();
    const paths = contract.operations.map((operation) => operation.path);
    // Zero-width spaces mark where a path may be broken.
    t.strictSame(shown.map((text) => text.replaceAll('\u200b', '')).sort(), [...paths].sort());
    await page.locator('.opblock', { hasText: '/api/register' }).locator('.opblock-summary-control').click();
    await page.waitForSelector('.opblock.is-open .response');
    t.match(await page.locator('.opblock.is-open').innerText(), /0123456789[\s\S]*phone_number_taken/);
    t.strictSame(complaints, []);
    t.strictSame(foreign, []);
  });
}

test('A34 the page sends what its reader tries out', { skip }, async (t) => {
  const { page, complaints, foreign } = await openPage(t, '/api/docs/');
  const operation = page.locator('.opblock', { hasText: '/.well-known/jwks.json' });
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.try-out__btn').click();
  await operation.locator('.execute').click();
  await operation.locator('.live-responses-table').waitFor();
  t.match(await operation.locator('.live-responses-table').innerText(), /200[\s\S]*"crv": "Ed25519"/);
  t.strictSame(complaints, []);
  t.strictSame(foreign, []);
});

test('A34 nothing on the page may be loaded from elsewhere, or be inline', { skip }, async (t) => {
  const response = await fetch(`${origin}/api/docs/`);
  const policy = response.headers.get('content-security-policy') ?? '';
  t.match(policy, /default-src 'none'/);
  t.notMatch(policy, /unsafe|https?:|\*/);
  t.match(response.headers.get('x-content-type-options'), 'nosniff');
});
