// Loaded into the services of a negative control (NODE_OPTIONS): their servers close no connection for being slow, as
// if nobody had set a limit.
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';

const { createServer } = http;
const FOREVER_MS = 86_400_000;

http.createServer = (options, handler) => {
  const unlimited = { headersTimeout: 0, requestTimeout: 0, connectionsCheckingInterval: FOREVER_MS };
  const server = createServer({ ...options, ...unlimited }, handler);
  for (const name of ['headersTimeout', 'requestTimeout']) {
    Object.defineProperty(server, name, { get: () => 0, set: () => {} });
  }
  server.setTimeout = () => server;
  return server;
};
syncBuiltinESMExports();
