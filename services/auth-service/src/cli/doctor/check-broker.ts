import { EVENTS_STREAM, EVENTS_STREAM_NAME } from '@infrasignal/shared';
import type { StreamInfo } from '@nats-io/jetstream';
import type { AuthConfig } from '../../config.ts';
import { withBroker, type BrokerSession } from '../broker-session.ts';
import { findStream } from '../stream-commands.ts';
import { judgeClock } from './check-database.ts';
import { describeError, Findings, type Finding } from './finding.ts';

/** Older ones work, and are not what is tested. */
const VERSION_WANTED = [2, 10, 27] as const;

/** Of the account's storage; beyond it the disk fills before somebody has read this again. */
const STORAGE_DOUBT_SHARE = 0.8;

const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** JetStream's word for “no limit”. */
const UNLIMITED = -1;

function isOlder(version: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [at, wanted] of VERSION_WANTED.entries()) {
    const part = parts[at] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}

function judgeStream(info: StreamInfo | null, config: AuthConfig, findings: Findings): void {
  if (info === null) {
    findings.doubtful('there is no stream EVENTS yet', 'start auth-service: its relay makes it');
    return;
  }
  const { num_replicas: replicas, max_age: maxAge } = info.config;
  if (replicas === config.streamReplicas) findings.good(`the stream EVENTS has ${replicas === 1 ? 'one copy' : `${replicas} copies`}`);
  else {
    findings.doubtful(
      `the stream EVENTS has ${replicas} copies, STREAM_REPLICAS is ${config.streamReplicas}`,
      'the relay brings it to the setting when it next connects; if not, too few servers are there',
    );
  }
  if (maxAge < EVENTS_STREAM.max_age) {
    const hours = Math.round(maxAge / NANOSECONDS_PER_SECOND / 3_600);
    findings.bad(`the stream EVENTS forgets after ${hours} hours`, 'nobody but auth-service should change its configuration');
  }
  const behind = (info.cluster?.replicas ?? []).filter(({ current, offline }) => !current || offline === true);
  if (replicas > 1 && info.cluster?.leader === undefined) {
    findings.bad('the stream EVENTS has no leader', 'most of its servers have to be there: start them');
  }
  for (const { name } of behind) findings.doubtful(`the copy on ${name} is behind or away`, 'look at that server');
  if (info.state.consumer_count === 0) {
    findings.doubtful('nobody reads the stream EVENTS', 'start notify-service; sockets hear nothing until then');
  } else findings.good(`${info.state.consumer_count} notify nodes or other readers follow the stream EVENTS`);
}

async function judgeStorage({ manager }: BrokerSession, findings: Findings): Promise<void> {
  const { storage, limits } = await manager.getAccountInfo();
  if (limits.max_storage === UNLIMITED || limits.max_storage === 0) return;
  const share = storage / limits.max_storage;
  const text = `${Math.round(share * 100)} % of the storage for streams is used`;
  if (share < STORAGE_DOUBT_SHARE) findings.good(text);
  else findings.doubtful(text, 'see deploy/runbooks/stream-full.md');
}

/** Everything that NATS has to do with. What only its own configuration tells (`sync_interval`) is not seen from here. */
export async function checkBroker(config: AuthConfig): Promise<readonly Finding[]> {
  const findings = new Findings('broker');
  try {
    return await withBroker(config, async (session) => {
      const version = session.connection.info?.version ?? 'of an unknown version';
      if (isOlder(version)) {
        findings.doubtful(`nats-server ${version} answers`, `use ${VERSION_WANTED.join('.')} or newer: that is what is tested`);
      } else findings.good(`nats-server ${version} with JetStream answers`);
      const before = Date.now();
      const info = await findStream(session, EVENTS_STREAM_NAME);
      const asked = (before + Date.now()) / 2;
      judgeStream(info, config, findings);
      await judgeStorage(session, findings);
      // The server's clock, in its answers since 2.10.
      const theirs = info === null || !('ts' in info) ? NaN : Date.parse(String(info.ts));
      return Number.isNaN(theirs) ? findings.list : [...findings.list, judgeClock('the broker’s', theirs, asked)];
    });
  } catch (error) {
    findings.bad(
      `it does not answer as it should: ${describeError(error)}`,
      'look whether nats-server runs with JetStream, and whether NATS_URL names it; events wait in the outbox meanwhile',
    );
    return findings.list;
  }
}
