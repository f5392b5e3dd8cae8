import {
  brokerAccessSettings,
  confidential,
  flag,
  integer,
  list,
  logLevels,
  oneOf,
  readConfig,
  secret,
  secrets,
  text,
  tracingSettings,
  url,
  type ConfigOf,
} from '@infrasignal/service-kit';
import { ACCESS_TOKEN_TTL_SECONDS_MAX, DUPLICATE_WINDOW_SECONDS, EVENT_RETENTION_SECONDS } from '@infrasignal/shared';
import { getCountries, isSupportedCountry, type CountryCode } from 'libphonenumber-js/max';
import { ARGON2_ITERATIONS_MAX, ARGON2_MEMORY_KIB_MAX } from './lib/password-hash/argon2-format.ts';

const defaultRegion = {
  ...oneOf('DEFAULT_REGION', getCountries(), {
    description: 'Country (ISO 3166-1 alpha-2) whose national way of writing phone numbers is understood.',
    fallback: 'FR',
  }),
  form: 'country code',
  parse: (value: string): CountryCode => {
    if (!isSupportedCountry(value)) throw new Error('must be a country code such as FR');
    return value;
  },
};

/** Every environment variable of auth-service. docs/environment.md is generated from this table. */
export const settings = {
  host: text('HOST', { description: 'Address to listen on.', fallback: '127.0.0.1' }),
  port: integer('PORT', { description: 'Port to listen on.', fallback: 8001, min: 0, max: 65_535 }),
  databaseUrl: confidential(
    url('DATABASE_URL', {
      description: 'PostgreSQL 14 or newer; takes the place of the Django settings.',
      schemes: ['postgres', 'postgresql'],
    }),
  ),
  databasePoolMax: integer('DATABASE_POOL_MAX', {
    description:
      'Connections to PostgreSQL for the requests of this instance, besides four of its own: two for the relay, one for ' +
      'its lock, and one for what tells how it is.',
    fallback: 10,
    min: 1,
    max: 200,
  }),
  isMigratingAtStart: flag('MIGRATE_AT_START', {
    description:
      'True: an instance brings the database to its schema before it listens. False: something else does ' +
      '(`infrasignal migrate`), and an instance that finds an older schema refuses to start.',
    fallback: true,
  }),
  databaseWaitingMax: integer('DATABASE_WAITING_MAX', {
    description:
      'Requests that may wait for one of those connections; the others are answered 503 at once. Less turns away what a ' +
      'moment would have served; more lets requests pile up, in memory, before a database that does not answer.',
    fallback: 500,
    min: 1,
    max: 100_000,
  }),
  databaseConnectMsMax: integer('DATABASE_CONNECT_MS_MAX', {
    description:
      'The longest that a request waits for a connection, in milliseconds. Less gives up in a failover that is nearly ' +
      'over; more keeps clients waiting for a database that is away.',
    fallback: 3_000,
    min: 50,
    max: 60_000,
  }),
  databaseStatementMsMax: integer('DATABASE_STATEMENT_MS_MAX', {
    description:
      'The longest that one statement may take, in milliseconds; a fifth more, and the database is taken for away. All ' +
      'of ours are of a few rows: one that takes long waits for a lock, or for a server that does not answer.',
    fallback: 5_000,
    min: 100,
    max: 60_000,
  }),
  natsUrl: confidential(
    url('NATS_URL', {
      description: 'NATS with JetStream; takes the place of `REDIS_URL`. Several URLs are separated by commas.',
      schemes: ['nats', 'tls'],
      isList: true,
    }),
  ),
  ...brokerAccessSettings,
  streamReplicas: integer('STREAM_REPLICAS', {
    description: 'Copies of the event stream: 1 on one machine, 3 in a NATS cluster.',
    fallback: 1,
    min: 1,
    max: 5,
  }),
  duplicateWindowSeconds: integer('DUPLICATE_WINDOW_SECONDS', {
    description:
      'How long the broker recognises an event’s id, and published events stay in the outbox should the broker lose ' +
      'them; in seconds, the same for all instances. Has to be longer than the broker waits for a client that does not ' +
      'answer its pings (`ping_interval`, `ping_max`: six minutes by default), or an instance that stood still for that ' +
      'long can repeat an event when it wakes up. More costs the broker some hundred bytes of memory for each event.',
    fallback: DUPLICATE_WINDOW_SECONDS,
    min: 1,
    max: EVENT_RETENTION_SECONDS,
  }),
  relayLeaderTimeoutSeconds: integer('RELAY_LEADER_TIMEOUT_SECONDS', {
    description:
      'An instance that publishes and is not heard of by the database for this long, in seconds, loses its place to ' +
      'another. Less loses it to a pause of a busy machine; with more, events wait that much longer when an instance ' +
      'stands still. (One that is killed is replaced within a second.)',
    fallback: 10,
    min: 1,
    max: 600,
  }),
  secretKey: secret('SECRET_KEY', {
    description: 'Every key of the service is derived from it. Make one with `openssl rand -base64 48`.',
  }),
  secretKeyFallbacks: secrets('SECRET_KEY_FALLBACKS', {
    description:
      'Former values of SECRET_KEY, newest first, as in Django: they still recognise what they made. ' +
      'Remove one when everything it made has expired (`SESSION_TTL_SECONDS`).',
  }),
  signingKeyRotationDays: integer('SIGNING_KEY_ROTATION_DAYS', {
    description: 'A new signing key takes over after this many days; 0 leaves it to the command.',
    fallback: 30,
    min: 0,
    max: 3650,
  }),
  isDebug: flag('DEBUG', {
    description:
      'True: weak passwords are accepted and plain-http headers are sent, as the Django original did in development.',
    fallback: false,
  }),
  allowedHosts: list('ALLOWED_HOSTS', {
    description: 'Host names that requests may be addressed to; `.example.com` covers its subdomains.',
    fallback: ['localhost', '127.0.0.1', '[::1]'],
  }),
  allowedOrigins: list('ALLOWED_ORIGINS', {
    description: 'Origins whose pages may use this service from a browser (CORS, and cookie sessions).',
    fallback: ['http://localhost:8000', 'http://127.0.0.1:8000'],
  }),
  trustProxyHops: integer('TRUST_PROXY', {
    description: 'How many proxies in front are trusted to add to `X-Forwarded-For`; 0 ignores the header.',
    fallback: 0,
    min: 0,
    max: 10,
  }),
  defaultRegion,
  passwordLengthMin: integer('PASSWORD_LENGTH_MIN', {
    description: 'Shortest accepted password, in code points.',
    fallback: 8,
    min: 8,
    max: 64,
  }),
  passwordBreachUrl: url('PASSWORD_BREACH_URL', {
    description:
      'Service that is asked whether a new password is in a known breach: `https://api.pwnedpasswords.com`, or another ' +
      'one with its range API. It is sent the first 5 of the 40 digits of a SHA-1, and where it does not answer within ' +
      'a second the password is accepted. Without one nobody is asked.',
    schemes: ['https', 'http'],
    fallback: '',
  }),
  loginFailuresBeforeDelay: integer('LOGIN_FAILURES_BEFORE_DELAY', {
    description:
      'Failed logins in a row on one account, or of one device that logged in before, until each further one has to ' +
      'wait (429). Also how many logins of one account may be tried at once. Fewer punishes ordinary mistakes.',
    fallback: 5,
    min: 1,
    max: 1_000_000,
  }),
  loginDelaySeconds: integer('LOGIN_DELAY_SECONDS', {
    description: 'The first such wait, in seconds; each further failure doubles it.',
    fallback: 5,
    min: 0,
    max: 3_600,
  }),
  loginDelaySecondsMax: integer('LOGIN_DELAY_SECONDS_MAX', {
    description: 'The longest such wait, in seconds. With the default a guesser gets about a hundred tries a day.',
    fallback: 900,
    min: 0,
    max: 86_400,
  }),
  loginFailuresMax: integer('LOGIN_FAILURES_MAX', {
    description:
      'Failed logins in a row after which the password is disabled, but for devices that logged in before. 100 is the ' +
      'most that NIST SP 800-63B allows.',
    fallback: 100,
    min: 1,
    max: 1_000_000,
  }),
  addressLoginFailuresMax: integer('ADDRESS_LOGIN_FAILURES_MAX', {
    description:
      'Failed logins of one address (IPv6: of one /64), whatever the accounts, until further ones have to wait (429). ' +
      'Fewer shuts out large offices behind one address; more lets one address try more accounts.',
    fallback: 100,
    min: 1,
    max: 1_000_000,
  }),
  addressLoginFailuresPerHour: integer('ADDRESS_LOGIN_FAILURES_PER_HOUR', {
    description: 'How many of them come back each hour, spread evenly.',
    fallback: 600,
    min: 1,
    max: 1_000_000,
  }),
  addressRegistrationsMax: integer('ADDRESS_REGISTRATIONS_MAX', {
    description:
      'Registrations of one address, refused ones included, until further ones have to wait (429). A refusal tells that ' +
      'a number has an account: fewer are fewer numbers to be tried.',
    fallback: 100,
    min: 1,
    max: 1_000_000,
  }),
  addressRegistrationsPerHour: integer('ADDRESS_REGISTRATIONS_PER_HOUR', {
    description: 'How many of them come back each hour, spread evenly.',
    fallback: 120,
    min: 1,
    max: 1_000_000,
  }),
  sprayingAccountsMin: integer('SPRAYING_ACCOUNTS_MIN', {
    description:
      'One wrong password on this many accounts within an hour, at one instance, is reported as ' +
      '`security.password_spraying`. Fewer reports what people happen to mistype alike.',
    fallback: 20,
    min: 2,
    max: 1_000_000,
  }),
  argon2MemoryKib: integer('ARGON2_MEMORY_KIB', {
    description:
      'Memory of one password hash in KiB (Argon2 `m`). 19456 is the OWASP minimum; less is for load tests only. ' +
      'Hashes of other parameters are renewed when their owners log in.',
    fallback: 19_456,
    min: 8,
    max: ARGON2_MEMORY_KIB_MAX,
  }),
  argon2Iterations: integer('ARGON2_ITERATIONS', {
    description: 'Passes over that memory (Argon2 `t`). Memory times passes is at most 1 GiB.',
    fallback: 2,
    min: 1,
    max: ARGON2_ITERATIONS_MAX,
  }),
  hashConcurrency: integer('HASH_CONCURRENCY', {
    description:
      'Password hashes at once; 0 is one per core. At most `UV_THREADPOOL_SIZE` − 2. Less leaves cores idle while ' +
      'people wait to log in; more makes each hash slower, with the memory of all of them at once.',
    fallback: 0,
    min: 0,
    max: 256,
  }),
  hashWaitingMax: integer('HASH_WAITING_MAX', {
    description:
      'Requests that may wait for their hash; the others are answered 503 at once. Less turns small crowds away; ' +
      'more makes everybody wait longer while there are too many, and no more of them get in.',
    fallback: 100,
    min: 1,
    max: 10_000,
  }),
  hashWaitMsMax: integer('HASH_WAIT_MS_MAX', {
    description:
      'The longest that a hash may wait, in milliseconds. A request that would wait longer is answered 503 at once. ' +
      'Less turns people away whom a moment would have served; more hashes for clients that have given up.',
    fallback: 2_000,
    min: 50,
    max: 60_000,
  }),
  threadPoolSize: integer('UV_THREADPOOL_SIZE', {
    description:
      'Threads for hashes, file access and name lookups. Read by Node itself before the service runs, so it has to be ' +
      'in the environment. Two are kept free of hashes: with the default, two hashes run at once. 64 is right on any ' +
      'machine; idle threads cost next to nothing.',
    fallback: 4,
    min: 3,
    max: 1_024,
  }),
  hashNiceness: integer('HASH_NICENESS', {
    description:
      'How much lower than everything else of the service hashes are scheduled where there are not cores enough (Linux; ' +
      'as by `nice`). 0: alike, and refreshes wait for hashes when many people log in.',
    fallback: 10,
    min: 0,
    max: 19,
  }),
  tokenIssuer: text('TOKEN_ISSUER', { description: 'Claim `iss` of the tokens.', fallback: 'infrasignal' }),
  tokenAudience: text('TOKEN_AUDIENCE', { description: 'Claim `aud` of the tokens.', fallback: 'infrasignal' }),
  accessTokenTtlSeconds: integer('ACCESS_TOKEN_TTL_SECONDS', {
    description: 'Life of an access token, in seconds.',
    fallback: 300,
    min: 30,
    max: ACCESS_TOKEN_TTL_SECONDS_MAX,
  }),
  sessionIdleTtlSeconds: integer('SESSION_IDLE_TTL_SECONDS', {
    description: 'A session ends when it is not refreshed for this long, in seconds (7 days).',
    fallback: 7 * 86_400,
    min: 60,
    max: 365 * 86_400,
  }),
  sessionTtlSeconds: integer('SESSION_TTL_SECONDS', {
    description: 'A session ends this long after its login whatever happens, in seconds (30 days).',
    fallback: 30 * 86_400,
    min: 60,
    max: 365 * 86_400,
  }),
  notificationRecipientsPerMinuteMax: integer('NOTIFICATION_RECIPIENTS_PER_MINUTE_MAX', {
    description:
      'Users that one sender may tell something in a minute (`POST /api/notifications/`), each as often as it is told; ' +
      'more is answered 429. Less keeps services from their work; more lets one of them delay everybody’s ' +
      'notifications: the relay carries some 4,000 a second.',
    fallback: 20_000,
    min: 1_000,
    max: 10_000_000,
  }),
  broadcastsPerMinuteMax: integer('BROADCASTS_PER_MINUTE_MAX', {
    description:
      'Notifications for everybody that one sender may send in a minute. Each is a write to every socket there is; what ' +
      'was missed of them is replayed to everybody who comes back.',
    fallback: 10,
    min: 1,
    max: 10_000,
  }),
  shutdownGraceSeconds: integer('SHUTDOWN_GRACE_SECONDS', {
    description: 'After SIGTERM, requests in flight may take this long, in seconds.',
    fallback: 20,
    min: 1,
    max: 600,
  }),
  ...tracingSettings,
  logLevel: oneOf('LOG_LEVEL', logLevels, { description: 'Least important level that is logged.', fallback: 'info' }),
};

export type AuthConfig = ConfigOf<typeof settings>;

/** The only place where auth-service reads its environment. @throws ConfigurationError naming each wrong variable. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): AuthConfig {
  return readConfig(settings, environment);
}
