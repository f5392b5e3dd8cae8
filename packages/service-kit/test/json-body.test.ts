// If this breaks, a hostile body reaches a password hash, a database statement or another client: it stalls the
// service, fails as a 500, or says one thing to the validator and another to whoever reads it next.
import Fastify, { type LightMyRequestResponse } from 'fastify';
import t from 'tap';
import { errorHandlerPlugin, jsonBodyPlugin } from '../src/index.ts';

interface Refusal {
  code: string;
  errors?: { pointer: string; code: string; detail: string }[];
}

async function start(t: { teardown(handler: () => unknown): unknown }) {
  const app = Fastify({ bodyLimit: 1024 * 1024 });
  await app.register(errorHandlerPlugin);
  await app.register(jsonBodyPlugin);
  app.post('/', async (request) => ({ got: request.body ?? 'nothing' }));
  t.teardown(() => app.close());
  return (payload: string | Buffer, contentType = 'application/json'): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: '/', payload, headers: { 'content-type': contentType } });
}

t.test('A8 what is well-formed arrives as it was sent', async (t) => {
  const send = await start(t);
  const bodies: unknown[] = [
    { phone_number: '0123456789', password: 'a "quoted": {text} with \\ and : in it' },
    { text: '"a":1', 'key with ":" in it': ':', nested: { list: [1, 'two', { three: null }], empty: {} } },
    { emoji: '😀', combining: 'e\u0301', constructor: 'a text', prototype: 'another' },
    { text: '{"__proto__": {"isAdmin": true}}' },
    [], {}, null, 'text', 0, true,
  ];
  for (const body of bodies) {
    const answer = await send(JSON.stringify(body));
    t.equal(answer.statusCode, 200, JSON.stringify(body));
    t.same(answer.json<{ got: unknown }>().got, body ?? 'nothing');
  }
  t.equal((await send('\ufeff{"a":1}')).statusCode, 200, 'a byte order mark may be ignored (RFC 8259 section 8.1)');
  t.equal((await send(' \r\n\t{ "a" : 1 } ')).statusCode, 200);
  t.equal((await send('{"a":1}', 'Application/JSON; charset=utf-8')).statusCode, 200);
});

t.test('A8 what is not JSON in UTF-8 is malformed', async (t) => {
  const send = await start(t);
  const latin1 = Buffer.from('{"a":"é"}', 'latin1');
  const table: [string, string | Buffer][] = [
    ['an empty body', ''],
    ['white space', ' \n'],
    ['half an object', '{"a":1'],
    ['two values', '{"a":1}{"a":1}'],
    ['a comment', '{"a":1}//'],
    ['single quotes', "{'a':1}"],
    ['a trailing comma', '{"a":1,}'],
    ['NaN', '{"a":NaN}'],
    ['a raw line break in a text', '{"a":"\n"}'],
    ['Latin-1', latin1],
    ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate in UTF-8 (CESU)', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['a cut character', Buffer.from([0x22, 0xe2, 0x82, 0x22])],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le')],
    ['a compressed body', Buffer.from([0x1f, 0x8b, 0x08, 0x00])],
    ['100,000 brackets', '['.repeat(100_000)],
    ['100,000 nested arrays', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['100,000 nested objects', '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000)],
    ['one level more than the limit', '['.repeat(18) + ']'.repeat(18)],
    ['a prototype', '{"__proto__":{"isAdmin":true}}'],
    ['a prototype, escaped', '{"\\u005f_proto__":{"isAdmin":true}}'],
    ['a prototype, deep', '{"a":[{"__proto__":1}]}'],
    ['a constructor’s prototype', '{"constructor":{"prototype":{"isAdmin":true}}}'],
    ['NUL in a name', '{"a\\u0000":1}'],
    ['half a surrogate pair in a name', '{"a\\ud800":1}'],
  ];
  for (const [what, body] of table) {
    const answer = await send(body);
    t.equal(answer.statusCode, 400, what);
    t.equal(answer.json<Refusal>().code, 'malformed_body', what);
  }
  t.equal((await send('['.repeat(17) + ']'.repeat(17))).statusCode, 200, 'the limit itself');
});

t.test('A5 a name given twice is refused, because one of the values would be dropped in silence', async (t) => {
  const send = await start(t);
  const table = [
    '{"password":"one","password":"two"}',
    '{"password":"same","password":"same"}',
    '{"password":"one","pass\\u0077ord":"two"}',
    '{"a":[{"b":1,"b":2}]}',
    '{"a":{"b":1},"a":{"b":1}}',
    '{"":1,"":2}',
    '{"a":"\\"","a":"\\\\"}',
  ];
  for (const body of table) {
    const answer = await send(body);
    t.match(answer.json<Refusal>(), { status: 400, code: 'malformed_body', detail: /twice/ }, body);
  }
  for (const body of ['{"a":1,"A":2}', '{"a":{"a":{"a":":"}}}', '[{"a":1},{"a":1}]', '{"a":"\\\\","b":":\\":"}']) {
    t.equal((await send(body)).statusCode, 200, body);
  }
});

t.test('A8 NUL and unpaired surrogates are refused at their place', async (t) => {
  const send = await start(t);
  const table: [string, string][] = [
    ['{"a":"\\u0000"}', '/a'],
    ['{"a":{"b":["ok","x\\u0000y"]}}', '/a/b/1'],
    ['{"a":"\\ud800"}', '/a'],
    ['{"a":"\\udc00\\ud800"}', '/a'],
    ['"\\u0000"', ''],
    ['{"a/b~c":"\\u0000"}', '/a~1b~0c'],
  ];
  for (const [body, pointer] of table) {
    const answer = await send(body);
    t.equal(answer.statusCode, 400, body);
    const { code, errors } = answer.json<Refusal>();
    t.equal(code, 'invalid_request');
    t.match(errors, [{ pointer, code: 'invalid_characters' }]);
  }
  t.equal((await send('{"a":"\\ud83d\\ude00"}')).statusCode, 200, 'a pair is a character');
});

t.test('A8 an answer carries no hostile name back', async (t) => {
  const send = await start(t);
  const names = ['k'.repeat(9_000), `${'k'.repeat(126)}/`, `${'k'.repeat(126)}😀`, '/'.repeat(9_000)];
  for (const name of names) {
    const answer = await send(JSON.stringify({ [name]: '\u0000' }));
    const pointer = answer.json<Refusal>().errors?.[0]?.pointer ?? '';
    t.ok(pointer.length > 100 && pointer.length <= 128, `${pointer.length} characters`);
    t.notMatch(pointer, /~$|[\ud800-\udfff]/, 'not cut within an escape or a pair');
    t.ok(answer.body.length < 1_000);
  }
});

t.test('A5 any content type but JSON is 415', async (t) => {
  const send = await start(t);
  const others = [
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'application/json-patch+json',
    'application/vnd.api+json',
    'application / json',
    'json',
    '*/*',
    '',
  ];
  for (const contentType of others) {
    const answer = await send('{"a":1}', contentType);
    t.equal(answer.statusCode, 415, JSON.stringify(contentType));
    t.equal(answer.json<Refusal>().code, 'unsupported_media_type');
  }
});
