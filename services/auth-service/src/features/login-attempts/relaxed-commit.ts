import { sql, type SQL } from 'drizzle-orm';

/**
 * An expression that makes the statement it stands in not wait for the disk, nor for a standby. Counts are not worth
 * that: after a crash of the database the last fraction of a second of them may be missing, and nothing else. And one
 * address's row would be held for as long, by everybody who comes from there.
 */
export function withoutWaitingForDisk(): SQL {
  return sql`set_config('synchronous_commit', 'off', true)`;
}
