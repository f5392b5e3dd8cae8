// If this breaks, clients are told to try again what can never work, or that something is broken when it will work in
// two seconds.
import { ProblemError } from '@infrasignal/service-kit';
import { commonErrors } from '@infrasignal/shared';
import t from 'tap';
import { toUnavailableProblem } from '../../src/plugins/database-errors.ts';

const withCode = (code: string, message = 'an error'): Error => Object.assign(new Error(message), { code });

t.test('A32 what says "not now" is 503 with Retry-After', async (t) => {
  const away = [
    withCode('08006'), // connection failure
    withCode('53300'), // too many connections
    withCode('53100'), // disk full
    withCode('57P01'), // admin shutdown
    withCode('57P03'), // cannot connect now
    withCode('57014'), // statement timeout
    withCode('40001'), // serialization failure
    withCode('40P01'), // deadlock
    withCode('55P03'), // lock not available
    withCode('ECONNREFUSED'),
    withCode('ECONNRESET'),
    withCode('ENOTFOUND'),
    withCode('EAI_AGAIN'),
    new Error('timeout exceeded when trying to connect'),
    new Error('Query read timeout'),
    new Error('Connection terminated unexpectedly'),
    new Error('Connection terminated due to connection timeout'),
  ];
  for (const error of away) {
    for (const thrown of [error, new Error('Failed query', { cause: error })]) {
      const problem = toUnavailableProblem(thrown);
      t.match(problem?.definition, { status: 503, code: 'service_unavailable' }, error.message + String(Reflect.get(error, 'code')));
      t.match(problem?.headers, { 'retry-after': /^\d+$/ });
    }
  }
});

t.test('what the pool refuses is answered as it says, however it was wrapped', async (t) => {
  const refusal = new ProblemError(commonErrors.service_unavailable, { headers: { 'retry-after': '1' } });
  for (const thrown of [refusal, new Error('Failed query', { cause: refusal })]) {
    t.equal(toUnavailableProblem(thrown), refusal);
  }
});

t.test('A32 what will fail again is no outage', async (t) => {
  const ours = [
    withCode('23505'), // unique violation
    withCode('23514'), // check violation
    withCode('42P01'), // no such table
    withCode('42601'), // syntax error
    withCode('22P02'), // invalid text
    withCode('28P01'), // wrong password
    withCode('42501'), // no privilege
    withCode('42P01', 'relation "connection_timeout" does not exist'),
    new TypeError('x is not a function'),
    new Error('an error'),
  ];
  for (const error of ours) {
    t.equal(toUnavailableProblem(error), null, error.message);
    t.equal(toUnavailableProblem(new Error('Failed query', { cause: error })), null);
  }
});
