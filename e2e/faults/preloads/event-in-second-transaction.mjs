// Loaded into auth-service for a negative control (NODE_OPTIONS): a build that commits a change and writes its event in
// a transaction of its own after that. The event is kept where it ends with the connection (see the scenario's SQL).
// On SIGUSR1 its pools lose their error listeners, as in a build that never had any.
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a service may well do between two statements. */
const BETWEEN_MS = 20;

const pools = new Set();
const { query } = pg.Client.prototype;
const { connect } = pg.Pool.prototype;

pg.Client.prototype.query = function (config, values, callback) {
  if (typeof callback !== 'function' || !config.text?.includes('insert into "outbox"')) {
    return query.call(this, config, values, callback);
  }
  return query.call(this, config, values, (error, result) => {
    if (error) return callback(error);
    const done = () => callback(undefined, result);
    sleep(BETWEEN_MS)
      .then(() => query.call(this, 'select commit_events()'))
      .then(done, done);
  });
};

pg.Pool.prototype.connect = function (...args) {
  pools.add(this);
  return connect.apply(this, args);
};

process.on('SIGUSR1', () => {
  for (const pool of pools) pool.removeAllListeners('error');
});
