// If this breaks, the page falls over a frame it does not know, hammers a server that has refused it for good, never
// comes back to one that would take it, or puts where it resumes into a broken address.
import { closeCodes, shouldReconnect } from '@infrasignal/shared';
import t from 'tap';
import { afterClose, mayHaveMissed, readFrame, socketAddress, type ConnectedFrame } from '../public/frames.js';

const connected: ConnectedFrame = {
  type: 'connected',
  user_id: 1,
  session_id: 's',
  seq: 0,
  cursor: 'c',
  recovered: true,
  ping_ms: 1,
};

t.test('a dot makes a notification, none makes a control frame', async (t) => {
  t.equal(readFrame('{"type":"user.login"}').kind, 'notification');
  t.equal(readFrame('{"type":"something.never.heard.of","data":{}}').kind, 'notification');
  t.equal(readFrame('{"type":"ping"}').kind, 'control');
  t.equal(readFrame('{"type":"unheard"}').kind, 'control');
  t.equal(readFrame(JSON.stringify(connected)).kind, 'connected');
  t.equal(readFrame(JSON.stringify({ ...connected, user_id: null, session_id: null, seq: null })).kind, 'connected');
});

t.test('what nobody can read is passed over, never thrown', async (t) => {
  const messages = ['', 'x', 'null', '3', '[]', '{}', '{"type":3}', '{"type":""}', '{"type":"connected"}',
    JSON.stringify({ ...connected, cursor: 3 }), new Uint8Array(1), null, undefined];
  for (const message of messages) t.equal(readFrame(message).kind, 'unreadable');
});

t.test('a gap is told exactly where something may be missing', async (t) => {
  const lost: ConnectedFrame = { ...connected, recovered: false, reason: 'evicted' };
  t.ok(mayHaveMissed({ ...lost, seq: 9 }, 'cursor', 4));
  t.ok(mayHaveMissed({ ...lost, seq: 0 }, 'cursor', 4), 'the log knows nothing of this user any more');
  t.ok(mayHaveMissed({ ...lost, seq: null }, 'cursor', 0), 'everybody\'s notifications have no number to compare');
  t.notOk(mayHaveMissed({ ...lost, seq: 0 }, '0', 0), 'a new account before its first notification');
  t.ok(mayHaveMissed({ ...lost, seq: 4 }, 'cursor', 4), 'what was for everybody may be missing');
  t.notOk(mayHaveMissed({ ...lost, seq: 4 }, '4', 4), 'the socket stands where the list ends');
  t.notOk(mayHaveMissed({ ...connected, seq: 4 }, 'cursor', 4));
  t.notOk(mayHaveMissed({ ...lost, seq: 9 }, null, 0), 'nothing was asked for');
});

t.test('the range of the close code tells what to do, also for codes of tomorrow', async (t) => {
  const expected: [number, string][] = [
    [1000, 'reconnect'], [1001, 'reconnect'], [1006, 'reconnect'], [1011, 'reconnect'], [1013, 'reconnect'],
    [3000, 'reconnect'], [4000, 'reconnect'], [4400, 'reconnect'], [4401, 'refresh'], [4402, 'reconnect'],
    [4499, 'reconnect'], [4500, 'stop'], [4999, 'stop'],
  ];
  for (const [code, next] of expected) t.equal(afterClose(code), next, String(code));
});

t.test('the page and the servers agree on every close code', async (t) => {
  for (const { code } of Object.values(closeCodes)) t.equal(afterClose(code) !== 'stop', shouldReconnect(code));
  t.equal(afterClose(closeCodes.tokenExpired.code), 'refresh');
});

t.test('the cursor is written so that every character of it arrives', async (t) => {
  const cursor = 'a&b=c+d/e ?#é';
  const address = new URL(socketAddress('ws://localhost/ws/notifications/', cursor));
  t.equal(address.searchParams.get('after'), cursor);
  t.equal(socketAddress('ws://localhost/ws/notifications/', null), 'ws://localhost/ws/notifications/');
});
