import {
  brokerAccessSettings,
  confidential,
  flag,
  integer,
  list,
  logLevels,
  oneOf,
  readConfig,
  secrets,
  text,
  tracingSettings,
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
  ...brokerAccessSettings,
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
  trustProxyHops: integer('TRUST_PROXY', {
    description:
      'How many proxies in front are trusted to add to `X-Forwarded-For`; 0 ignores the header. Limits by address ' +
      'count what it says.',
    fallback: 0,
    min: 0,
    max: 10,
  }),
  streamReplicas: integer('STREAM_REPLICAS', {
    description: 'Copies of the streams of presence: 1 on one machine, 3 in a NATS cluster.',
    fallback: 1,
    min: 1,
    max: 5,
  }),
  ...tracingSettings,
  logLevel: oneOf('LOG_LEVEL', logLevels, {
    description: 'The least severe log line that is written.',
    fallback: 'info',
  }),
  shutdownGraceSeconds: integer('SHUTDOWN_GRACE_SECONDS', {
    description:
      'After SIGTERM, sockets have this long to be closed in order; then the process ends regardless. Must be below ' +
      'what the orchestrator grants (30 s in Kubernetes, 10 s in Compose unless told otherwise).',
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
  recentEventsMax: integer('RECENT_EVENTS_MAX', {
    description:
      'Newest events that are kept in memory, where clients that come back find what they missed. Smaller asks the ' +
      'broker for it, client by client; larger takes about 1.5 KB for each, and 16 MiB of stored events at most.',
    fallback: 20_000,
    min: 1,
    max: 1_000_000,
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
  drainSocketsPerSecond: integer('DRAIN_SOCKETS_PER_SECOND', {
    description:
      'After SIGTERM, sockets are closed at this pace, or faster if they would not fit into the grace period. What ' +
      'the other nodes can let in; smaller makes a restart last longer, larger is felt by everybody on them.',
    fallback: 500,
    min: 1,
    max: 1_000_000,
  }),
  socketsMax: integer('SOCKETS_MAX', {
    description:
      'Sockets of this node; further handshakes get 503. Smaller needs more nodes; larger than memory allows ends in ' +
      'a crash that all of them feel.',
    fallback: 20_000,
    min: 1,
    max: 1_000_000,
  }),
  socketsPerUserMax: integer('SOCKETS_PER_USER_MAX', {
    description:
      'Sockets of one user over all nodes; one more closes the oldest (4502). Smaller cuts off people with many ' +
      'devices and tabs; larger lets one account hold that many connections. Services are users too.',
    fallback: 10,
    min: 1,
    max: 100_000,
  }),
  socketsPerAddressMax: integer('SOCKETS_PER_ADDRESS_MAX', {
    description:
      'Sockets of one address (IPv6: one /64) at this node; further handshakes get 429. Smaller locks out companies ' +
      'and mobile networks behind one address; larger lets one machine fill the node.',
    fallback: 1_000,
    min: 1,
    max: 1_000_000,
  }),
  handshakesPerSecondMax: integer('HANDSHAKES_PER_SECOND_MAX', {
    description:
      'Handshakes in a second, and at once, that this node looks at; the others get 503, which costs the node more than ' +
      'letting in a client with a ticket. Smaller makes a return after a restart or a cut last longer; larger delays ' +
      'notifications of those who are connected during one, up to `EVENT_LOOP_DELAY_MS_MAX`.',
    fallback: 4_000,
    min: 1,
    max: 1_000_000,
  }),
  handshakesPerAddressPerSecondMax: integer('HANDSHAKES_PER_ADDRESS_PER_SECOND_MAX', {
    description:
      'The same for one address (IPv6: one /64); the others get 429. Smaller is felt by companies behind one address ' +
      'after a restart; larger lets one machine use up what the node can do.',
    fallback: 100,
    min: 1,
    max: 1_000_000,
  }),
  messagesPerSecondMax: integer('MESSAGES_PER_SECOND_MAX', {
    description:
      'Messages in a second, and at once, that one socket may send; more close it (4429). Clients send a pong every ' +
      '25 s and a token every few minutes.',
    fallback: 20,
    min: 1,
    max: 10_000,
  }),
  eventLoopDelayMsMax: integer('EVENT_LOOP_DELAY_MS_MAX', {
    description:
      'While the event loop is later than this on average, handshakes get 503. Smaller refuses clients for a passing ' +
      'burst; larger goes on taking them in while those who are connected wait.',
    fallback: 250,
    min: 10,
    max: 60_000,
  }),
  ticketKeys: secrets('TICKET_KEYS', {
    description:
      'Keys of reconnect tickets, the same on all nodes; the first gives tickets, all are good. Without any, each ' +
      'process makes its own, and a ticket spares a signature check at the node that gave it only.',
  }),
} satisfies SettingTable;

export type Config = ConfigOf<typeof settings>;

/** @throws ConfigurationError naming every variable that is missing or wrong. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  return readConfig(settings, environment);
}
