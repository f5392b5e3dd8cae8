// Loaded into the services (NODE_OPTIONS): between two pings to the broker they wait FAULT_BROKER_PINGS_SCALE times as
// long as they were told to. Infinity: as if they never asked whether it is still there.
import { createRequire } from 'node:module';

const requireHere = createRequire(import.meta.url);
const requireAsAuth = createRequire(requireHere.resolve('../../../services/auth-service/package.json'));
const requireAsClient = createRequire(requireAsAuth.resolve('@nats-io/transport-node'));
const { Heartbeat } = requireAsClient('@nats-io/nats-core/internal');

const scale = Number(process.env.FAULT_BROKER_PINGS_SCALE);
const { start } = Heartbeat.prototype;
const scaled = new WeakSet();

Heartbeat.prototype.start = function () {
  if (scale === Infinity) return;
  // Started anew for each connection, also by the same client.
  if (!scaled.has(this)) this.interval *= scale;
  scaled.add(this);
  start.call(this);
};
