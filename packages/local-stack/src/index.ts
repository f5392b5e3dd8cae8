export {
  startNatsServer,
  waitForNatsCluster,
  type NatsClusterPlace,
  type RunningNatsServer,
  type StartNatsServerOptions,
} from './nats-server.ts';
export { findNatsBinary, type NatsBinary } from './nats-binary.ts';
export { makeDirectoryForPostgres, startPostgres, type RunningPostgres, type StartPostgresOptions } from './postgres.ts';
export { startManagedProcess, type ExitStatus, type ManagedProcess, type ManagedProcessOptions } from './managed-process.ts';
export { endLeftoverServer, POSTGRES_USER } from './postgres-cluster.ts';
export { isLockHeld, tryLockFile, type LockAttempt, type LockFile } from './lock-file.ts';
export { forgetMount, forgetPath, guardMount, guardPath } from './reaper-client.ts';
export { startGateway, type RunningGateway, type StartGatewayOptions } from './gateway.ts';
export { findFreePort } from './ports.ts';
export { freezeProcess } from './freeze-process.ts';
export { identifyProcess, isSameProcessAlive, sendSignal, type ProcessIdentity } from './process-identity.mjs';
export { StackError } from './stack-error.ts';
export { waitFor, type WaitForOptions } from './wait-for.ts';
export { PROJECT_ROOT, TOOLS_DIRECTORY } from './state-paths.mjs';
