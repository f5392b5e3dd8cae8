import { counter, gauge, histogram, LATENCY_BUCKETS_SECONDS, type MetricTable } from '@infrasignal/service-kit';

/** Every metric of auth-service beside those that every service has; docs/metrics.md is generated from this table. */
export const metrics = {
  outboxEvents: gauge(
    'infrasignal_outbox_events',
    'Committed events that the broker does not have yet. Read from the database, so every instance tells the same.',
  ),
  outboxOldestAge: gauge(
    'infrasignal_outbox_oldest_age_seconds',
    'How long the oldest of them has been waiting; 0 when there is none. The first thing to look at when sockets hear ' +
      'nothing.',
  ),
  relayIsLeading: gauge(
    'infrasignal_outbox_relay_leading',
    '1 on the instance that publishes, else 0. The sum over all instances is 1, but for the seconds of a handover.',
  ),
  outboxPublishes: counter(
    'infrasignal_outbox_publishes_total',
    'Attempts to publish, by outcome: `stored` (events published again after a restart of the broker included) or ' +
      '`failed`, which is tried again until it is stored.',
    ['outcome'],
  ),
  logins: counter(
    'infrasignal_logins_total',
    'Logins by outcome: `ok`, `wrong` (number or password), `limited_account` and `limited_address` (too many failures), ' +
      '`overloaded` (no turn to hash) or `failed` (the database).',
    ['outcome'],
  ),
  securitySigns: counter('infrasignal_security_signs_total', 'Signs of attacks that this instance noticed, by kind.', [
    'kind',
  ]),
  hashesWaiting: gauge('infrasignal_hashes_waiting', 'Password hashes that wait for their turn: the depth of the queue.'),
  hashesRunning: gauge('infrasignal_hashes_running', 'Password hashes that are computed at the moment.'),
  hashPlaces: gauge('infrasignal_hash_places', 'Requests that hold a place in the queue, before, in and after a hash.'),
  hashes: counter(
    'infrasignal_hashes_total',
    'Password hashes by outcome: `computed`, `refused` (no place, answered 503 at once), `expired` (waited too long) ' +
      'or `abandoned` (the client had gone).',
    ['outcome'],
  ),
  hashWaitSeconds: histogram(
    'infrasignal_hash_wait_seconds',
    'How long password hashes waited for their turn.',
    LATENCY_BUCKETS_SECONDS,
  ),
  refreshes: counter(
    'infrasignal_refreshes_total',
    'Refreshes by outcome: `accepted`, `reused` (a used token came back and its session ended: a thief, or a broken ' +
      'client) or `refused`.',
    ['outcome'],
  ),
  breachChecks: counter(
    'infrasignal_breach_checks_total',
    'New passwords by what the service at `PASSWORD_BREACH_URL` said: `clean`, `breached` (and refused) or `unanswered` (and accepted). Absent where nobody is asked.',
    ['outcome'],
  ),
  poolConnections: gauge(
    'infrasignal_database_pool_connections',
    'Connections of the pool by state: `idle` or `busy`.',
    ['state'],
  ),
  poolWaiting: gauge(
    'infrasignal_database_pool_waiting',
    'Queries that wait for a connection. Above 0 for long: the pool (`DATABASE_POOL_MAX`) or the database is too small.',
  ),
} satisfies MetricTable;
