export { waitFor, type WaitForOptions } from '@infrasignal/local-stack';
export { createTestDatabase, openServersDatabase, type TestDatabase, type TestDatabaseOptions } from './test-database.ts';
export { startTestPostgres, type TestPostgres, type TestPostgresOptions } from './test-postgres.ts';
export { startTestNats, type TestNats, type TestNatsOptions } from './test-nats.ts';
export {
  startTestNatsCluster,
  type TestNatsCluster,
  type TestNatsClusterOptions,
  type TestNatsNode,
} from './test-nats-cluster.ts';
export { timePhase } from './phase-times.ts';
export { createTestDirectory } from './test-directory.ts';
export { findDiskObstacle, TestDisk, type TestDiskOptions } from './test-disk.ts';
export { readStream, type ReadStreamOptions, type StreamMessage } from './stream-reader.ts';
export {
  runServiceToExit,
  startServiceProcess,
  type ServiceExit,
  type ServiceProcess,
  type ServiceProcessOptions,
} from './service-process.ts';
export type { StandIns } from './service-build.ts';
export { ROOMY_AUTH_LIMITS } from './auth-limits.ts';
export { ROOMY_NOTIFY_LIMITS } from './notify-limits.ts';
export { parseScrape, scrape, type Scrape } from './scrape.ts';
export type { TestContext } from './test-context.ts';
export { AccountApi, type Account, type AccountApiOptions } from './account-api.ts';
export { EventSocket, type EventSocketOptions } from './event-socket.ts';
export {
  startFaultProxy,
  type Direction,
  type FaultProxy,
  type FaultProxyOptions,
  type ProxyRule,
  type ProxyVerdict,
} from './fault-proxy.ts';
export type { NetworkConditions } from './fault-pipe.ts';
export { LINK_NAMES, type LinkName, type StackLinks } from './stack-links.ts';
export {
  Ledger,
  nowMs,
  type ClientRecord,
  type ConnectionRecord,
  type LedgerEntries,
  type Operation,
  type Outcome,
  type ReceivedFrame,
} from './ledger.ts';
export { Teardowns } from './teardowns.ts';
export { startTestStack, type StackServices, type TestStack, type TestStackOptions } from './test-stack.ts';
export { TokenIssuer, type TokenOptions } from './token-issuer.ts';
