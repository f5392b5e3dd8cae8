import { sql } from 'drizzle-orm';
import { passwordKind, users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

/** One password hash of each kind that accounts have. One step through the index per kind, whatever their number. */
export async function findHashOfEachKind(db: Database): Promise<string[]> {
  const { rows } = await db.execute<{ passwordHash: string }>(sql`
    with recursive kinds as (
      (select ${passwordKind} as name, password_hash from ${users}
        where password_hash is not null order by 1 limit 1)
      union all
      select next.name, next.password_hash from kinds cross join lateral (
        select ${passwordKind} as name, password_hash from ${users}
        where password_hash is not null and ${passwordKind} > kinds.name order by 1 limit 1
      ) as next
    )
    select password_hash as "passwordHash" from kinds`);
  return rows.map(({ passwordHash }) => passwordHash);
}
