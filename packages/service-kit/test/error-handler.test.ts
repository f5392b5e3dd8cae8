// If this breaks, clients get errors they cannot read (another shape, another status), or are shown what only the log
// should know: SQL, stack traces, paths of this machine.
import { commonErrors, defineErrors } from '@infrasignal/shared';
import Fastify, { type FastifyInstance, type FastifyServerOptions, type InjectOptions } from 'fastify';
import t from 'tap';
import { errorHandlerPlugin, jsonBodyPlugin, ProblemError, type ErrorHandlerOptions } from '../src/index.ts';

interface TestContext {
  teardown(handler: () => unknown): unknown;
}

const SECRET_TEXT = 'select secret from /home/somebody/file.ts';

const teapotErrors = defineErrors({ teapot: [418, 'Teapot', 'It cannot brew coffee.'] });

async function start(
  t: TestContext,
  routes: (app: FastifyInstance) => void,
  options: ErrorHandlerOptions & { readonly server?: FastifyServerOptions } = {},
) {
  const { server = {}, ...handlerOptions } = options;
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true }, ...server });
  await app.register(errorHandlerPlugin, handlerOptions);
  await app.register(jsonBodyPlugin);
  routes(app);
  t.teardown(() => app.close());
  return async (request: InjectOptions | string) => {
    const answer = await app.inject(request);
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, problem: answer.json<unknown>() };
  };
}

t.test('A32 a ProblemError is answered as its problem', async (t) => {
  const ask = await start(t, (app) => {
    app.get('/plain', () => {
      throw new ProblemError(teapotErrors.teapot);
    });
    app.get('/full', async () => {
      throw new ProblemError(teapotErrors.teapot, {
        detail: 'Only tea.',
        headers: { 'retry-after': '7' },
        errors: [
          { pointer: '/pot', code: 'empty', detail: 'Fill it.' },
          { pointer: '/pot', code: 'cold', detail: 'Heat it.' },
          { pointer: '', code: 'both', detail: 'Neither will do.' },
          { pointer: '/title', code: 'reserved', detail: 'Shadows nothing.' },
        ],
        cause: new Error(SECRET_TEXT),
      });
    });
  });
  const plain = await ask('/plain?token=canary');
  t.equal(plain.status, 418);
  t.equal(plain.headers['content-type'], 'application/problem+json; charset=utf-8');
  t.equal(plain.headers['cache-control'], 'no-store');
  t.match(plain.problem, { request_id: /.+/ });
  t.strictSame({ ...(plain.problem as object), request_id: '' }, {
    type: 'urn:infrasignal:error:teapot',
    title: 'Teapot',
    status: 418,
    detail: 'It cannot brew coffee.',
    code: 'teapot',
    instance: '/plain',
    request_id: '',
  });
  const full = await ask('/full');
  t.equal(full.headers['retry-after'], '7');
  t.match(full.problem, {
    title: 'Teapot',
    detail: 'Only tea.',
    errors: [{ pointer: '/pot' }, { pointer: '/pot' }, { pointer: '' }, { pointer: '/title' }],
    pot: ['Fill it.', 'Heat it.'],
    non_field_errors: ['Neither will do.'],
  });
  t.notMatch(full.text, SECRET_TEXT);
});

t.test('A32 an unexpected error says nothing about itself', async (t) => {
  const thrown: unknown[] = [
    new Error(SECRET_TEXT),
    new TypeError(SECRET_TEXT, { cause: new Error(SECRET_TEXT) }),
    Object.assign(new Error(SECRET_TEXT), { statusCode: 500, code: 'ANY' }),
    Object.assign(new Error(SECRET_TEXT), { statusCode: 200 }),
    Object.assign(new Error(SECRET_TEXT), { code: 'constructor' }),
    new AggregateError([new Error(SECRET_TEXT)], SECRET_TEXT),
    SECRET_TEXT,
    { message: SECRET_TEXT },
    42,
    null,
  ];
  const ask = await start(t, (app) => {
    app.get<{ Params: { at: string } }>('/:at', async ({ params }) => {
      throw thrown[Number(params.at)];
    });
    app.get('/broken/answer', { schema: { response: { 200: { type: 'object', required: ['a'], properties: { a: {} } } } } },
      async () => ({ b: SECRET_TEXT }));
  });
  for (const path of [...thrown.keys()].map((at) => `/${at}`).concat('/broken/answer')) {
    const { status, headers, problem, text } = await ask(path);
    t.equal(status, 500, path);
    t.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
    t.match(problem, { code: 'internal_error', detail: commonErrors.internal_error.detail, instance: path });
    t.notMatch(text, 'secret');
  }
});

t.test('A32 a 5xx keeps its fixed text whatever its error says', async (t) => {
  const ask = await start(t, (app) => {
    app.get('/', async () => {
      throw new ProblemError(commonErrors.service_unavailable, { detail: SECRET_TEXT, headers: { 'retry-after': '2' } });
    });
  });
  const { status, headers, problem, text } = await ask('/');
  t.equal(status, 503);
  t.equal(headers['retry-after'], '2');
  t.match(problem, { detail: commonErrors.service_unavailable.detail });
  t.notMatch(text, 'secret');
});

t.test('A32 the service’s own errors are translated, also when wrapped by nobody', async (t) => {
  const ask = await start(
    t,
    (app) => {
      app.get('/known', async () => {
        throw new RangeError(SECRET_TEXT);
      });
      app.get('/unknown', async () => {
        throw new TypeError(SECRET_TEXT);
      });
    },
    { translate: (error) => (error instanceof RangeError ? new ProblemError(teapotErrors.teapot) : null) },
  );
  t.equal((await ask('/known')).status, 418);
  t.equal((await ask('/unknown')).status, 500);
});

t.test('A32 what Fastify refuses has our codes', async (t) => {
  const ask = await start(t, (app) => app.post('/', { bodyLimit: 10 }, async () => ({})));
  const json = { 'content-type': 'application/json' };
  const table: [InjectOptions, number, string][] = [
    [{ payload: '{"a":"0123456789"}', headers: json }, 413, 'payload_too_large'],
    [{ payload: 'a', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported_media_type'],
    [{ payload: 'a', headers: { 'content-type': 'nonsense' } }, 415, 'unsupported_media_type'],
    [{ payload: 'a', headers: { 'content-type': '' } }, 415, 'unsupported_media_type'],
    [{ payload: '{', headers: json }, 400, 'malformed_body'],
    [{ payload: '{}', headers: { ...json, 'content-length': '9' } }, 400, 'malformed_body'],
  ];
  for (const [request, status, code] of table) {
    const answer = await ask({ method: 'POST', url: '/', ...request });
    t.match(answer, { status, problem: { status, code } }, code);
  }
});

t.test('A32 a body whose stream breaks off is the caller’s doing, not an outage', async (t) => {
  const ask = await start(
    t,
    (app) => {
      app.addHook('preParsing', async (_request, _reply, payload) => {
        process.nextTick(() => payload.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' })));
        return payload;
      });
      app.post('/', async () => ({}));
    },
    { translate: () => new ProblemError(commonErrors.service_unavailable) },
  );
  const answer = await ask({ method: 'POST', url: '/', payload: '{}', headers: { 'content-type': 'application/json' } });
  t.match(answer, { status: 400, problem: { code: 'malformed_body' } });
});

t.test('A32 404 for a path nobody has, 405 with Allow for a method it has not', async (t) => {
  const ask = await start(t, (app) => {
    app.get('/things/:id', async () => ({}));
    app.delete('/things/:id', async () => ({}));
    app.get('/things/all', async () => ({}));
    app.post('/login', async () => ({}));
  });
  const table: [string, string, number, string | undefined][] = [
    ['GET', '/', 404, undefined],
    ['GET', '/nowhere', 404, undefined],
    ['POST', '/things', 404, undefined],
    ['GET', '/things/1/2', 404, undefined],
    ['GET', '/login', 405, 'POST'],
    ['OPTIONS', '/login/', 405, 'POST'],
    ['PROPFIND', '/login', 405, 'POST'],
    ['PUT', '/things/1', 405, 'DELETE, GET, HEAD'],
    ['PATCH', '/things/1/?x=/login', 405, 'DELETE, GET, HEAD'],
    ['POST', '/things/all', 405, 'DELETE, GET, HEAD'],
  ];
  for (const [method, url, status, allow] of table) {
    const answer = await ask({ method: method as 'GET', url, payload: 'any', headers: { 'content-type': 'text/plain' } });
    t.equal(answer.status, status, `${method} ${url}`);
    t.equal(answer.headers.allow, allow);
    t.match(answer.problem, { code: status === 404 ? 'not_found' : 'method_not_allowed', instance: url.split('?')[0] });
  }
});

t.test('A5 a broken schema names every place once, at most 20', async (t) => {
  const body = {
    type: 'object',
    required: ['name', 'list'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', minLength: 2, maxLength: 4, pattern: '^[a-z]*$' },
      list: { type: 'array', maxItems: 1, items: { type: 'object', required: ['a/b'], properties: { 'a/b': {} } } },
      either: { anyOf: [{ type: 'string', maxLength: 3 }, { type: 'null' }] },
      word: { enum: ['one', 'two'] },
      day: { type: 'string', format: 'date' },
    },
  };
  const ask = await start(t, (app) => app.post('/', { schema: { body } }, async () => ({})), {
    server: { ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: true } } },
  });
  const refusals = async (payload: unknown): Promise<string[]> => {
    const { status, problem } = await ask({ method: 'POST', url: '/', payload: payload as object });
    t.equal(status, 400);
    const { errors } = problem as { errors: { pointer: string; code: string; detail: string }[] };
    t.ok(errors.every(({ detail }) => detail.length > 0));
    return errors.map(({ pointer, code }) => `${pointer} ${code}`).sort();
  };
  t.same(await refusals({}), ['/list required', '/name required']);
  t.same(await refusals({ name: 'a', list: [] }), ['/name too_short']);
  t.same(await refusals({ name: 'ABCDEF', list: [] }), ['/name too_long'], 'one finding for one place');
  t.same(await refusals({ name: 'AB', list: [] }), ['/name invalid_format']);
  t.same(await refusals({ name: 5, list: null }), ['/list invalid_type', '/name invalid_type']);
  t.same(await refusals({ name: 'ok', list: [{}] }), ['/list/0/a~1b required']);
  t.same(await refusals({ name: 'ok', list: [{ 'a/b': 1 }, { 'a/b': 1 }] }), ['/list too_long']);
  t.same(await refusals({ name: 'ok', list: [], either: 'long' }), ['/either too_long'], 'the branch that says more');
  t.same(await refusals({ name: 'ok', list: [], word: 'three' }), ['/word invalid_value']);
  t.same(await refusals({ name: 'ok', list: [], day: '30 February' }), ['/day invalid_format']);
  t.same(await refusals({ name: 'ok', list: [], 'a~/b': 1 }), ['/a~0~1b unknown_field']);
  t.same(await refusals([]), [' invalid_type']);
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`field ${at}`, 1]));
  t.equal((await refusals({ name: 'ok', list: [], ...many })).length, 20);
  const long = await refusals({ name: 'ok', list: [], ['x'.repeat(9_000)]: 1 });
  t.ok(long[0]!.length < 160);
});

t.test('what failed is logged; a refusal on purpose is not, because a stranger could have a line of it per request', async (t) => {
  const lines: { msg: string; err?: { message: string } }[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) };
  const ask = await start(
    t,
    (app) => {
      app.get('/overloaded', () => {
        throw new ProblemError(commonErrors.service_unavailable, { headers: { 'retry-after': '1' } });
      });
      app.get('/database-away', () => {
        throw new ProblemError(commonErrors.service_unavailable, { cause: new Error('no connection') });
      });
      app.get('/bug', () => {
        throw new Error('a bug');
      });
    },
    { server: { logger: { level: 'error', stream } } },
  );
  t.equal((await ask('/overloaded')).status, 503);
  t.same(lines, []);
  t.equal((await ask('/database-away')).status, 503);
  t.equal((await ask('/bug')).status, 500);
  t.same(lines.map(({ msg }) => msg), ['request failed', 'request failed']);
});
