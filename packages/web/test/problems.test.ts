// If this breaks, a user who made a mistake is not told which one, is told in a language they do not read, or keeps
// pressing a button that the server has asked to leave alone.
import t from 'tap';
import { Translator } from '../public/i18n.js';
import { describeProblem, readProblem } from '../public/problems.js';

const english = new Translator('en', ['en']);
const french = new Translator('fr', ['fr']);
const fields = ['phone_number', 'password', 'email'];
const now = Date.parse('2025-06-01T12:00:00Z');

function problemBody(code: string, errors: object[] = []): Record<string, unknown> {
  const detail = 'The server says so.';
  return { type: 'about:blank', title: 't', status: 400, detail, code, request_id: 'r1', errors };
}

t.test('problem+json: each field gets its sentence in the reader\'s language', async (t) => {
  const body = problemBody('invalid_request', [
    { pointer: '/phone_number', code: 'invalid_phone_number', detail: 'Not a number.' },
    { pointer: '/password', code: 'password_common', detail: 'Too common.' },
  ]);
  const problem = readProblem(400, { ...body, phone_number: ['Not a number.'], password: ['Too common.'] }, null, now);
  t.match(problem, { status: 400, code: 'invalid_request', requestId: 'r1', detail: 'The server says so.' });
  const shown = describeProblem(problem, fields, french);
  t.equal(shown.summary, '', 'the fields say it all');
  t.equal(shown.fields.get('phone_number'), french.text('error.invalid_phone_number'));
  t.equal(shown.fields.get('password'), french.text('error.password_common'));
  t.equal(describeProblem(problem, fields, english).fields.get('password'), english.text('error.password_common'));
});

t.test('the per-field arrays alone are understood too', async (t) => {
  const problem = readProblem(400, { phone_number: ['Ce numéro ne va pas.'], other: 'no array' }, null, now);
  const shown = describeProblem(problem, fields, english);
  t.same([...shown.fields], [['phone_number', 'Ce numéro ne va pas.']], 'the server\'s own sentence rather than none');
});

t.test('a length is told with the number that the server names', async (t) => {
  const errors = [{ pointer: '/password', code: 'password_too_short', detail: 'Use at least 12 characters.' }];
  const problem = readProblem(400, problemBody('invalid_request', errors), null, now);
  t.match(describeProblem(problem, fields, english).fields.get('password'), /at least 12 characters/);
  const [first] = problem.fields;
  if (first !== undefined) delete first.detail;
  t.equal(describeProblem(problem, fields, english).fields.get('password'), english.text('error.password_too_short'));
});

t.test('a problem of a field that the form does not show is told above it', async (t) => {
  const body = problemBody('invalid_request', [{ pointer: '/is_staff', code: 'unknown_field', detail: 'No.' }]);
  const shown = describeProblem(readProblem(400, body, null, now), fields, english);
  t.equal(shown.fields.size, 0);
  t.equal(shown.summary, english.text('error.unknown_field'));
});

t.test('what concerns the whole is told above the form', async (t) => {
  for (const [status, code] of [[401, 'invalid_credentials'], [429, 'throttled'], [503, 'overloaded']] as const) {
    const shown = describeProblem(readProblem(status, problemBody(code), null, now), fields, french);
    t.equal(shown.summary, french.text(`error.${code}`));
    t.equal(shown.fields.size, 0);
  }
});

t.test('an answer without a readable body still has a meaning', async (t) => {
  t.equal(readProblem(401, null, null, now).code, 'invalid_credentials');
  t.equal(readProblem(429, 'slow down', null, now).code, 'throttled');
  t.equal(readProblem(502, null, null, now).code, 'service_unavailable');
  t.equal(readProblem(503, [], null, now).code, 'overloaded');
  t.equal(readProblem(418, { code: 7, detail: {}, errors: 'x' }, null, now).code, 'unexpected');
  t.equal(readProblem(400, { errors: [null, 3, {}, { pointer: 4 }] }, null, now).fields.length, 0);
});

t.test('an unknown code shows the sentence of the server, and without one a sentence of the page', async (t) => {
  const problem = readProblem(400, problemBody('brand_new'), null, now);
  t.equal(describeProblem(problem, fields, english).summary, 'The server says so.');
  t.equal(describeProblem({ ...problem, detail: '' }, fields, english).summary, '');
  t.equal(describeProblem(readProblem(418, {}, null, now), fields, english).summary, english.text('error.unexpected'));
});

t.test('Retry-After: seconds or a date, at least one second, at most an hour', async (t) => {
  const seconds = (header: string | null): number | undefined => readProblem(429, {}, header, now).retryAfterSeconds;
  t.equal(seconds('42'), 42);
  t.equal(seconds('0'), 1);
  t.equal(seconds('Sun, 01 Jun 2025 12:00:30 GMT'), 30);
  t.equal(seconds('Sun, 01 Jun 2025 11:00:00 GMT'), 1);
  t.equal(seconds('3600'), 3600);
  t.equal(seconds('3601'), 3600);
  t.equal(seconds('soon'), undefined);
  t.equal(seconds(' '), undefined);
  t.equal(seconds(null), undefined);
});
