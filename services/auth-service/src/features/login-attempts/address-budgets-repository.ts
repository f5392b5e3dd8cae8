import { sql, type SQL } from 'drizzle-orm';
import { executePrepared } from '../../db/prepared-statement.ts';
import { addressBudgets } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { secondsPerUse, type AddressBudget } from './login-limits.ts';
import { withoutWaitingForDisk } from './relaxed-commit.ts';

/** How far ahead `spent_until` may lie for one more use to fit. */
function roomSeconds(budget: AddressBudget): number {
  return (budget.usesMax - 1) * secondsPerUse(budget);
}

/** Seconds until an address may do it once more, as an expression: null if it never did, negative if it may now. */
export function budgetWait(key: string, budget: AddressBudget): SQL {
  return sql`(select extract(epoch from spent_until - clock_timestamp())::float8 - ${roomSeconds(budget)}::float8
    from ${addressBudgets} where key = ${key})`;
}

/** Moves a budget on by one use. */
function spend(key: string, budget: AddressBudget): SQL {
  const use = sql`make_interval(secs => ${secondsPerUse(budget)})`;
  return sql`insert into ${addressBudgets} as budget (key, spent_until) values (${key}, clock_timestamp() + ${use})
    on conflict (key) do update set spent_until = greatest(budget.spent_until, clock_timestamp()) + ${use}`;
}

/** Records a use that was made, whether or not there was room: what was too much is paid back by waiting longer. */
export async function spendUse(db: Database, key: string, budget: AddressBudget): Promise<void> {
  await db.execute(sql`${spend(key, budget)} returning ${withoutWaitingForDisk()}`);
}

/** What came of asking for a use. */
export interface Use<Found> {
  /** Seconds to wait for it; null: taken. */
  readonly waitSeconds: number | null;
  readonly found: Found | null;
}

/**
 * Takes one use if there is room for it and finds what it is about, in one statement.
 * @param find a SELECT of at most one row, whose columns are handed back as JSON
 */
export async function takeUse<Found extends object>(
  db: Database,
  key: string,
  budget: AddressBudget,
  find: SQL,
): Promise<Use<Found>> {
  const [row] = await executePrepared<{ isTaken: boolean; found: Found | null }>(db, sql`
    with taken as (
      ${spend(key, budget)}
      where budget.spent_until <= clock_timestamp() + make_interval(secs => ${roomSeconds(budget)})
      returning 1
    )
    select exists (select 1 from taken) as "isTaken", (select to_json(found) from (${find}) as found) as found,
      ${withoutWaitingForDisk()}`);
  if (row?.isTaken === true) return { waitSeconds: null, found: row.found };
  const { rows } = await db.execute<{ waitSeconds: number | null }>(
    sql`select ${budgetWait(key, budget)} as "waitSeconds"`,
  );
  return { waitSeconds: rows[0]?.waitSeconds ?? 0, found: null };
}

/** Gives back a use that came to nothing. */
export async function returnUse(db: Database, key: string, budget: AddressBudget): Promise<void> {
  await db.execute(sql`update ${addressBudgets}
    set spent_until = spent_until - make_interval(secs => ${secondsPerUse(budget)}) where key = ${key}
    returning ${withoutWaitingForDisk()}`);
}

/** Removes budgets that are full again, at most `limit`. @returns how many; fewer than `limit`: there are no more */
export async function deleteFull(db: Database, limit: number): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from ${addressBudgets} where ctid in (
      select ctid from ${addressBudgets} where spent_until <= now() order by spent_until
      limit ${limit} for update skip locked)`);
  return rowCount ?? 0;
}
