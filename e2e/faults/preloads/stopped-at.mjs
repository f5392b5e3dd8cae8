// Loaded into auth-service (NODE_OPTIONS): the instance that publishes stands still (SIGSTOP) in the middle of its work,
// at the moment whose name is that of a file in FAULT_STOP_DIRECTORY. The file is then called `stopped-<pid>`.
// With FAULT_CLOCK_STANDS its clock stands still as well, as in a virtual machine that is suspended: to its eyes no time
// has passed. With FAULT_LOCK_UNWATCHED it believes that it holds its lock, whatever becomes of it.
import { existsSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const directory = process.env.FAULT_STOP_DIRECTORY;
const isLockUnwatched = process.env.FAULT_LOCK_UNWATCHED === 'true';
const requireHere = createRequire(import.meta.url);
const requireAsAuth = createRequire(requireHere.resolve('../../../services/auth-service/package.json'));
const { Client } = requireAsAuth('pg');
const { JetStreamClientImpl } = requireAsAuth('@nats-io/jetstream/internal');

const now = performance.now.bind(performance);
let stoppedMs = 0;
if (process.env.FAULT_CLOCK_STANDS === 'true') performance.now = () => now() - stoppedMs;

function stopAt(moment) {
  const path = join(directory, moment);
  if (!existsSync(path)) return;
  renameSync(path, join(directory, `stopped-${process.pid}`));
  const before = now();
  process.kill(process.pid, 'SIGSTOP');
  stoppedMs += now() - before;
}

const isSelect = (text) => /published_at is null and .* order by id limit/s.test(text);
const isMark = (text) => text.startsWith('update outbox set published_at');
const isOfLock = (client) => client.connectionParameters.application_name === 'infrasignal-relay-lock';

const { query, on } = Client.prototype;
Client.prototype.query = function (...args) {
  const [statement, , answer] = args;
  const text = typeof statement === 'string' ? statement : statement?.text; // with a name: prepared
  if (typeof text !== 'string') return query.apply(this, args);
  if (isMark(text)) stopAt('before-mark');
  if (isSelect(text) && typeof answer === 'function') {
    args[2] = (error, result) => {
      if (result?.rows.length > 0) stopAt('after-select');
      answer(error, result);
    };
  }
  const answered = query.apply(this, args);
  return isLockUnwatched && isOfLock(this) && text === 'select 1' ? answered.catch(() => ({ rows: [] })) : answered;
};
if (isLockUnwatched) {
  Client.prototype.on = function (event, listener) {
    return on.call(this, event, isOfLock(this) && ['end', 'error'].includes(event) ? () => undefined : listener);
  };
}

const { publish } = JetStreamClientImpl.prototype;
JetStreamClientImpl.prototype.publish = async function (subject, ...rest) {
  if (!subject.startsWith('users.')) return publish.call(this, subject, ...rest);
  stopAt('before-publish');
  const acknowledgement = await publish.call(this, subject, ...rest);
  stopAt('after-acknowledgement');
  return acknowledgement;
};
