// If this breaks, the document tells other people's programs of routes that are not there, hides some that are, or
// shows examples that are refused.
import { fieldErrors, type Problem } from '@infrasignal/shared';
import type { FastifyInstance } from 'fastify';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import tap, { test } from 'tap';
import { startAuth } from '../auth-fixture.ts';
import { Contract, documentedCodes, documentedFieldCodes, examplesOf } from './contract.ts';

/** Routes that are no part of the API, with the reason why. */
const UNDOCUMENTED = [
  /^(GET|HEAD) \/(healthz|readyz|metrics)$/, // probes and Prometheus, on the instance's own port: no gateway
  /^(GET|HEAD) \/api\/docs($|\/)/, // the page that shows the document, and its parts
  /^OPTIONS \*$/, // preflights, which browsers make by themselves
];

let app: FastifyInstance;
let contract: Contract;

tap.before(async () => {
  ({ app } = await startAuth(tap));
  contract = await Contract.load(app);
});

/** What the router itself knows, read off its tree: `METHOD /path` with parameters as `{name}`. */
function routesOf(service: FastifyInstance): string[] {
  const parents: string[] = [];
  return service
    .printRoutes()
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', name = '', methods = ''] = /^([│ ]*)[├└]── (.*?)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? [];
      const depth = indent.length / 4;
      const own = name === '(empty root node)' ? '' : name;
      const path = (parents[depth - 1] ?? '') + own;
      parents.splice(depth, Infinity, path);
      return methods === '' ? [] : methods.split(', ').map((method) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`);
    });
}

test('A34 the document is OpenAPI 3.1, served relative to its origin, and cacheable', async (t) => {
  const answer = await app.inject('/api/openapi.json/');
  t.equal(answer.statusCode, 200);
  t.match(answer.headers, { 'content-type': /^application\/json/, 'cache-control': /^public, max-age=\d+$/ });
  t.match(contract.document, { openapi: '3.1.0', servers: [{ url: '/' }] });
  const { etag = '' } = answer.headers;
  for (const known of [etag, `W/${etag}`, `"another", ${etag}`, '*']) {
    const again = await app.inject({ url: '/api/openapi.json', headers: { 'if-none-match': known } });
    t.equal(again.statusCode, 304, known);
    t.equal(again.body, '');
  }
  const other = await app.inject({ url: '/api/openapi.json', headers: { 'if-none-match': '"another"' } });
  t.equal(other.statusCode, 200);
});

test('A34 the document has every route of the service, and no other', async (t) => {
  const routes = routesOf(app).filter((route) => !UNDOCUMENTED.some((reason) => reason.test(route)));
  // HEAD comes with every GET (RFC 9110 section 9.3.2).
  const served = routes.filter((route) => !route.startsWith("HEAD ") || !routes.includes(route.replace('HEAD', 'GET')));
  t.strictSame(served.sort(), contract.operations.map(({ method, path }) => `${method} ${path}`).sort());
});

test('A34 a linter finds nothing to complain about', async (t) => {
  const file = join(t.testdir(), 'openapi.json');
  await writeFile(file, JSON.stringify(contract.document));
  const linter = join(createRequire(import.meta.url).resolve('@redocly/cli/package.json'), '../bin/cli.js');
  const config = fileURLToPath(new URL('redocly.yaml', import.meta.url));
  const args = [linter, 'lint', file, '--config', config, '--format', 'json'];
  const env = { ...process.env, NODE_OPTIONS: '', REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env }).catch((error: unknown) => {
    return error as { stdout: string };
  });
  const { totals, problems } = JSON.parse(stdout) as { totals: object; problems: object[] };
  t.match(totals, { errors: 0, warnings: 0 }, { problems });
});

test('A34 every operation says what it is, who may use it, and what a success looks like', async (t) => {
  for (const { operationId, summary, tags, security, responses, requestBody } of contract.operations) {
    t.match({ summary, tags, security }, { summary: /^[A-Z]/, tags: [/\w/], security: Array }, operationId);
    t.ok(Object.keys(responses).some((status) => status.startsWith('2')), `${operationId} has a success`);
    for (const [status, { description }] of Object.entries(responses)) {
      t.not(description, 'Default Response', `${operationId} ${status} is described`);
    }
    if (requestBody === undefined) continue;
    t.ok(examplesOf(requestBody.content['application/json']).length > 0, `${operationId} has an example of its body`);
  }
  t.equal(new Set(contract.operations.map(({ operationId }) => operationId)).size, contract.operations.length);
});

test('A34 every example is one by its own schema, and every error has one', async (t) => {
  let errorExamples = 0;
  for (const operation of contract.operations) {
    const { operationId, pointer, requestBody, responses } = operation;
    const body = requestBody?.content['application/json'];
    for (const [name, value] of body === undefined ? [] : examplesOf(body)) {
      const complaints = contract.complaintsAbout(`${pointer}/requestBody/content/application~1json/schema`, value);
      t.strictSame(complaints, [], `${operationId}, body ${name}`);
    }
    const seen = new Set<string>();
    for (const [status, { content = {} }] of Object.entries(responses)) {
      for (const [type, media] of Object.entries(content)) {
        const place = `${pointer}/responses/${status}/content/${type.replace('/', '~1')}/schema`;
        for (const [name, value] of examplesOf(media)) {
          t.strictSame(contract.complaintsAbout(place, value), [], `${operationId} ${status} ${name}`);
          if (type !== 'application/problem+json') continue;
          errorExamples += 1;
          const { code, errors = [] } = value as Problem;
          seen.add(`${status} ${code}`);
          for (const field of errors) seen.add(`400 field ${field.code}`);
        }
      }
    }
    const codes = documentedCodes(operation).map(({ status, code }) => `${status} ${code}`);
    t.strictSame(codes.filter((code) => !seen.has(code)), [], `${operationId} has an example of each of its errors`);
    // Those of the schemas are the same for every operation; those that a feature adds have an example each.
    const added = documentedFieldCodes(operation).filter((code) => !Object.hasOwn(fieldErrors, code));
    t.strictSame(added.filter((code) => !seen.has(`400 field ${code}`)), [], `${operationId}, field errors`);
  }
  t.comment(`${contract.operations.length} operations, ${errorExamples} examples of errors`);
});

test('A34 other methods and other paths are answered as the introduction says', async (t) => {
  const paths = Object.entries(contract.document.paths);
  for (const [path, operations] of paths) {
    const documented = Object.keys(operations).map((method) => method.toUpperCase());
    const wanted = [...documented, ...(documented.includes('GET') ? ['HEAD'] : [])].sort().join(', ');
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      if (documented.includes(method)) continue;
      const answer = await app.inject({ method, url: path.replace(/\{\w+\}/, 'anything') });
      t.equal(answer.statusCode, 405, `${method} ${path}`);
      t.equal(answer.headers.allow, wanted, `${method} ${path}`);
      t.strictSame(contract.complaintsAbout('/components/schemas/Problem', answer.json()), []);
    }
  }
  const nowhere = await app.inject('/api/nowhere');
  t.equal(nowhere.statusCode, 404);
  t.strictSame(contract.complaintsAbout('/components/schemas/Problem', nowhere.json()), []);
});
