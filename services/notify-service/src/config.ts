import {
  confidential,
  flag,
  integer,
  list,
  logLevels,
  oneOf,
  readConfig,
  text,
  url,
  type ConfigOf,
  type SettingTable,
} from '@infrasignal/service-kit';

/** Every setting of notify-service; docs/environment.md is generated from this table. */
export const settings = {
  host: text('HOST', {
    description: 'Address to listen on. Loopback by default: the gateway is what faces the network.',
    fallback: '127.0.0.1',
  }),
  port: integer('PORT', { description: 'Port to listen on.', fallback: 8002, min: 0, max: 65_535 }),
  natsUrl: confidential(
    url('NATS_URL', {
      description: 'The broker: one or more URLs, comma-separated.',
      schemes: ['nats', 'tls'],
      isList: true,
    }),
  ),
  jwksUrl: url('JWKS_URL', {
    description: 'Where auth-service publishes the public keys that access tokens are verified with.',
    schemes: ['http', 'https'],
  }),
  tokenIssuer: text('TOKEN_ISSUER', {
    description: 'The `iss` that an access token must carry.',
    fallback: 'infrasignal',
  }),
  tokenAudience: text('TOKEN_AUDIENCE', {
    description: 'The `aud` that an access token must carry.',
    fallback: 'infrasignal',
  }),
  isDebug: flag('DEBUG', {
    description:
      'True opens the public feed: a socket without a token sees every notification, as in the original application. ' +
      'For development only.',
    fallback: false,
  }),
  allowedOrigins: list('ALLOWED_ORIGINS', {
    description:
      'Origins whose pages may open a socket. A client that sends no Origin (not a browser) is not affected.',
    fallback: ['http://localhost:8000', 'http://127.0.0.1:8000'],
  }),
  logLevel: oneOf('LOG_LEVEL', logLevels, {
    description: 'The least severe log line that is written.',
    fallback: 'info',
  }),
  shutdownGraceSeconds: integer('SHUTDOWN_GRACE_SECONDS', {
    description: 'After SIGTERM, sockets have this long to be closed in order; then the process ends regardless.',
    fallback: 10,
    min: 1,
    max: 3_600,
  }),
  resumeEventsMax: integer('RESUME_EVENTS_MAX', {
    description:
      'Events that one resume may replay; who missed more is told `recovered: false`. Smaller sends away clients ' +
      'that were offline for a night; larger lets a few of them keep the broker busy.',
    fallback: 1_000,
    min: 1,
    max: 100_000,
  }),
  socketQueueBytesMax: integer('SOCKET_QUEUE_BYTES_MAX', {
    description:
      'Bytes that one socket may leave unread before it is closed as slow (4008). Smaller cuts off clients on poor ' +
      'networks during a burst; larger lets each of them hold that much memory.',
    fallback: 1_048_576,
    min: 16_384,
    max: 1_073_741_824,
  }),
  pingIntervalSeconds: integer('PING_INTERVAL_SECONDS', {
    description:
      'How often each socket is pinged. 25 s keeps it alive through proxies that cut idle connections at 30 s.',
    fallback: 25,
    min: 1,
    max: 3_600,
  }),
  pongTimeoutSeconds: integer('PONG_TIMEOUT_SECONDS', {
    description: 'A socket that does not answer a ping within this time is closed (4009).',
    fallback: 10,
    min: 1,
    max: 3_600,
  }),
} satisfies SettingTable;

export type Config = ConfigOf<typeof settings>;

/** @throws ConfigurationError naming every variable that is missing or wrong. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  return readConfig(settings, environment);
}
