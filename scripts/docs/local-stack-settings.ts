/** A variable that `npm start` itself reads. */
export interface LocalStackSetting {
  readonly name: string;
  readonly fallback: string;
  readonly description: string;
}

/** What packages/local-stack reads from the environment; a test finds each name in its source. */
export const localStackSettings: readonly LocalStackSetting[] = [
  {
    name: 'PORT',
    fallback: '8000',
    description: 'Port of the gateway, the one origin that clients see. `npm start -- --port N` wins over it.',
  },
  {
    name: 'DEBUG',
    fallback: 'true',
    description: 'Handed to both services. On one machine the public feed and plain http are what one starts with.',
  },
  {
    name: 'SECRET_KEY',
    fallback: 'made and kept',
    description: 'Without one the stack makes 48 random bytes and keeps them in `.infrasignal/secrets/`.',
  },
  {
    name: 'ALLOWED_ORIGINS',
    fallback: 'the gateway’s own',
    description: 'Handed to the services; by default `http://localhost`, `127.0.0.1` and `[::1]` with the gateway’s port.',
  },
  {
    name: 'NATS_SERVER_BIN',
    fallback: '',
    description: 'Path of the nats-server to use, before the PATH and the cache are looked at.',
  },
  { name: 'POSTGRES_PORT', fallback: 'a free port', description: 'Fixed port of PostgreSQL on 127.0.0.1.' },
  { name: 'NATS_PORT', fallback: 'a free port', description: 'Fixed port of nats-server on 127.0.0.1.' },
  { name: 'AUTH_SERVICE_PORT', fallback: 'a free port', description: 'Fixed port of auth-service on 127.0.0.1.' },
  { name: 'NOTIFY_SERVICE_PORT', fallback: 'a free port', description: 'Fixed port of notify-service on 127.0.0.1.' },
  { name: 'NO_COLOR', fallback: '', description: 'Set to anything: no colours on the terminal.' },
];

/** What the stack decides for the services whatever the environment says. */
export const decidedByLocalStack: readonly string[] = [
  'HOST',
  'DATABASE_URL',
  'NATS_URL',
  'JWKS_URL',
  'TRUST_PROXY',
];
