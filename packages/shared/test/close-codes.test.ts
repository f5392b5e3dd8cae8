// If this breaks, a client that should come back stays away, or one that should not hammers the service: a client
// written today knows tomorrow's codes by their range only.
import { test } from 'tap';
import { closeCodes, shouldReconnect } from '../src/index.ts';

const all = Object.entries(closeCodes);

test('every close code is used once, in the range of what a client should do', async (t) => {
  const reconnect = [
    'goingAway',
    'resync',
    'slow',
    'pongTimeout',
    'tokenExpired',
    'scopeReduced',
    'tooManyMessages',
  ];
  t.equal(new Set(all.map(([, { code }]) => code)).size, all.length, 'no code twice');
  t.equal(new Set(all.map(([, { reason }]) => reason)).size, all.length, 'no reason twice');
  for (const [name, { code, reason, description }] of all) {
    t.ok(Number.isInteger(code) && code >= 4000 && code <= 4999, `${name}: for applications (RFC 6455 section 7.4.2)`);
    t.match(reason, /^[a-z]+(_[a-z]+)*$/);
    t.ok(Buffer.byteLength(reason) <= 123, 'fits a close frame');
    t.match(description, /^[A-Z].*\.$/, 'a sentence');
    t.equal(shouldReconnect(code), reconnect.includes(name), name);
    t.equal(code < 4500, reconnect.includes(name));
  }
});

test('codes that clients rely on keep their numbers', async (t) => {
  const codes = Object.fromEntries(all.map(([name, { code, reason }]) => [name, `${code} ${reason}`]));
  t.match(codes, {
    goingAway: '4000 going_away',
    resync: '4001 resync',
    slow: '4008 slow',
    pongTimeout: '4009 pong_timeout',
    tokenExpired: '4401 token_expired',
    scopeReduced: '4402 scope_reduced',
    tooManyMessages: '4429 too_many_messages',
    invalidMessage: '4500 invalid_message',
    sessionRevoked: '4501 session_revoked',
    tooManySockets: '4502 too_many_sockets',
  });
});

test('the range decides about a code that nobody has heard of', async (t) => {
  const table: [number, boolean][] = [
    [1006, true],
    [1011, true],
    [1012, true],
    [4000, true],
    [4499, true],
    [4500, false],
    [4999, false],
  ];
  for (const [code, expected] of table) t.equal(shouldReconnect(code), expected, String(code));
});
