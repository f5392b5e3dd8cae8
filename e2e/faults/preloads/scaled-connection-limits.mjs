// Loaded into the services (NODE_OPTIONS): their servers wait FAULT_CONNECTION_LIMITS_SCALE times as long as they were
// told to before they close a connection for being slow. Infinity: as if nobody had set a limit.
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';

const scale = Number(process.env.FAULT_CONNECTION_LIMITS_SCALE);
const { createServer } = http;

/** Node knows no limit as 0. */
const scaleTimeout = (ms) => (scale === Infinity ? 0 : ms * scale);

const INTERVAL_MS_MAX = 86_400_000;

http.createServer = (options, handler) => {
  if (typeof options !== 'object') return createServer(options); // nobody was told of a limit: it never listens
  const server = createServer(
    {
      ...options,
      headersTimeout: scaleTimeout(options.headersTimeout),
      requestTimeout: scaleTimeout(options.requestTimeout),
      connectionsCheckingInterval: Math.min(INTERVAL_MS_MAX, options.connectionsCheckingInterval * scale),
    },
    handler,
  );
  // Fastify sets them once more on the server.
  for (const name of ['headersTimeout', 'requestTimeout']) {
    let value = server[name];
    Object.defineProperty(server, name, { get: () => value, set: (ms) => { value = scaleTimeout(ms); } });
  }
  const { setTimeout } = server;
  server.setTimeout = (ms, ...rest) => setTimeout.call(server, scaleTimeout(ms), ...rest);
  return server;
};
syncBuiltinESMExports();
