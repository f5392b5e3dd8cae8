import pg from 'pg';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { AuthConfig } from '../../config.ts';
import { findMissingMigrations } from '../../db/migrate.ts';
import * as schema from '../../db/schema/index.ts';
import { KeyRing } from '../../features/keys/index.ts';
import { secretKeysOf } from '../../features.ts';
import { readOutboxStatus } from '../../outbox/outbox-status.ts';
import { WAITING_SECONDS_MAX } from '../outbox-commands.ts';
import { describeError, Findings, type Finding } from './finding.ts';

const CONNECT_TIMEOUT_MS = 3_000;

/** `server_version_num` of PostgreSQL 14. */
const VERSION_MIN = 140_000;

/** Connections of an instance besides its pool: the relay's, its lock's, and what tells how it is. */
const CONNECTIONS_BESIDES_POOL = 3;

/**
 * In seconds. A little is normal between machines; with more, times in logs mislead, and access tokens, which are judged
 * by the clock of whoever checks them, live noticeably shorter or longer than they should.
 */
const CLOCK_DOUBT_SECONDS = 2;
const CLOCK_BAD_SECONDS = 30;

interface ServerFacts {
  readonly version: number;
  readonly versionText: string;
  readonly isReplica: boolean;
  readonly connectionsMax: number;
  readonly connectionsUsed: number;
  readonly fsync: string;
  readonly synchronousCommit: string;
  readonly fullPageWrites: string;
  readonly now: number;
  /** Halfway between question and answer, by our clock. */
  readonly askedAt: number;
}

async function readFacts(pool: pg.Pool): Promise<ServerFacts> {
  const before = Date.now();
  const { rows } = await pool.query<Omit<ServerFacts, 'askedAt'>>(`
    select current_setting('server_version_num')::int as "version", current_setting('server_version') as "versionText",
      pg_is_in_recovery() as "isReplica", current_setting('max_connections')::int as "connectionsMax",
      (select count(*)::int from pg_stat_activity) as "connectionsUsed", current_setting('fsync') as "fsync",
      current_setting('synchronous_commit') as "synchronousCommit",
      current_setting('full_page_writes') as "fullPageWrites",
      (extract(epoch from clock_timestamp()) * 1000)::float8 as "now"`);
  const [facts] = rows;
  if (facts === undefined) throw new Error('it answers with nothing');
  return { ...facts, askedAt: (before + Date.now()) / 2 };
}

function judgeServer(facts: ServerFacts, config: AuthConfig, findings: Findings): void {
  if (facts.version >= VERSION_MIN) findings.good(`PostgreSQL ${facts.versionText} answers`);
  else findings.bad(`PostgreSQL ${facts.versionText} is too old`, 'use 14 or newer');
  if (facts.isReplica) {
    findings.bad('it is a replica and takes no writes', 'let DATABASE_URL name the primary; after a failover, the new one');
  }
  for (const [name, value] of [
    ['fsync', facts.fsync],
    ['full_page_writes', facts.fullPageWrites],
    ['synchronous_commit', facts.synchronousCommit],
  ]) {
    if (value !== 'off') continue;
    findings.doubtful(`${name} is off: a power cut loses what was answered with success`, `set ${name} = on`);
  }
  const needed = config.databasePoolMax + CONNECTIONS_BESIDES_POOL;
  const free = facts.connectionsMax - facts.connectionsUsed;
  if (free >= needed) findings.good(`${free} of ${facts.connectionsMax} connections are free, an instance takes ${needed}`);
  else {
    findings.doubtful(
      `only ${free} of ${facts.connectionsMax} connections are free, an instance takes ${needed}`,
      'raise max_connections, lower DATABASE_POOL_MAX, or run fewer instances',
    );
  }
}

/** Whether two clocks agree. @param whose `the database’s` */
export function judgeClock(whose: string, theirs: number, ours: number): Finding {
  const findings = new Findings('clocks');
  const seconds = (theirs - ours) / 1_000;
  const text = `${whose} clock is ${Math.abs(seconds).toFixed(1)} s ${seconds < 0 ? 'behind' : 'ahead of'} ours`;
  const cure = 'let chrony or systemd-timesyncd set the clocks of all machines';
  if (Math.abs(seconds) < CLOCK_DOUBT_SECONDS) findings.good(`${whose} clock agrees with ours`);
  else if (Math.abs(seconds) < CLOCK_BAD_SECONDS) findings.doubtful(text, cure);
  else findings.bad(text, cure);
  const [finding] = findings.list;
  if (finding === undefined) throw new Error('no finding');
  return finding;
}

/** A wrong SECRET_KEY shows only when something made with the right one is opened. */
async function checkKeys(config: AuthConfig, pool: pg.Pool, findings: Findings): Promise<void> {
  const { rowCount } = await pool.query('select 1 from signing_keys limit 1');
  if (rowCount === 0) {
    findings.good('there is no signing key yet: the first instance makes it');
    return;
  }
  try {
    await KeyRing.load({
      db: drizzle(pool, { schema }),
      secretKeys: secretKeysOf(config),
      issuer: config.tokenIssuer,
      audience: config.tokenAudience,
      accessTtlSeconds: config.accessTokenTtlSeconds,
      rotationDays: 0,
      onError: () => undefined,
    });
    findings.good('the signing keys open with SECRET_KEY');
  } catch (error) {
    findings.bad(
      `the signing keys do not open: ${describeError(error)}`,
      'set the SECRET_KEY they were made with, or name it in SECRET_KEY_FALLBACKS',
    );
  }
}

async function checkOutbox(pool: pg.Pool): Promise<readonly Finding[]> {
  const findings = new Findings('outbox');
  const { waiting, oldestAgeSeconds, leader } = await readOutboxStatus(drizzle(pool, { schema }));
  if (leader === null) findings.doubtful('no instance publishes', 'start auth-service; events wait until then');
  else findings.good(`published by ${leader}`);
  if (oldestAgeSeconds <= WAITING_SECONDS_MAX) findings.good(`${waiting} events wait to be published`);
  else {
    findings.bad(
      `${waiting} events wait to be published, the oldest for ${Math.round(oldestAgeSeconds)} s`,
      'see deploy/runbooks/relay-stuck.md',
    );
  }
  return findings.list;
}

/** Everything that PostgreSQL has to do with. */
export async function checkDatabase(config: AuthConfig): Promise<readonly Finding[]> {
  const findings = new Findings('database');
  const pool = new pg.Pool({
    connectionString: config.databaseUrl,
    application_name: 'infrasignal-doctor',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CONNECT_TIMEOUT_MS,
    max: 3,
  });
  pool.on('error', () => undefined); // the query says so
  try {
    const facts = await readFacts(pool);
    judgeServer(facts, config, findings);
    const clock = judgeClock('the database’s', facts.now, facts.askedAt);
    const missing = await findMissingMigrations(config.databaseUrl);
    if (missing.length > 0) {
      findings.bad(`the schema lacks ${missing.length} migrations: ${missing.join(', ')}`, 'run `infrasignal migrate`');
      return [...findings.list, clock];
    }
    findings.good('the schema is that of this release');
    await checkKeys(config, pool, findings);
    return [...findings.list, clock, ...(await checkOutbox(pool))];
  } catch (error) {
    findings.bad(
      `it does not answer as it should: ${describeError(error)}`,
      'look whether PostgreSQL runs, and whether DATABASE_URL names it, with a user that may connect',
    );
    return findings.list;
  } finally {
    await pool.end().catch(() => undefined);
  }
}
