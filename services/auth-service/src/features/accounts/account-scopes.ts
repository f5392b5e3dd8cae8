import {
  SCOPE_ALL_NOTIFICATIONS,
  SCOPE_BROADCAST_NOTIFICATIONS,
  SCOPE_READ_PRESENCE,
  SCOPE_SEND_NOTIFICATIONS,
} from '@infrasignal/shared';
import { or, sql } from 'drizzle-orm';
import { users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

/** Every scope that can be granted. A scope that no code asks for would be a promise nobody keeps. */
export const grantableScopes = [
  SCOPE_ALL_NOTIFICATIONS,
  SCOPE_SEND_NOTIFICATIONS,
  SCOPE_BROADCAST_NOTIFICATIONS,
  SCOPE_READ_PRESENCE,
] as const;
export type GrantableScope = (typeof grantableScopes)[number];

export interface ScopedAccount {
  readonly userId: number;
  readonly name: string;
  readonly scopes: string[];
}

/** The account of an id or an E.164 number; null if there is none. */
export async function findAccount(db: Database, who: { userId?: number; phoneNumberE164?: string }): Promise<ScopedAccount | null> {
  const [row] = await db
    .select({ userId: users.id, name: users.phoneNumber, scopes: users.scopes })
    .from(users)
    .where(
      or(
        who.userId === undefined ? undefined : sql`${users.id} = ${who.userId}`,
        who.phoneNumberE164 === undefined ? undefined : sql`${users.phoneNumberE164} = ${who.phoneNumberE164}`,
      ) ?? sql`false`,
    );
  return row ?? null;
}

/** Adds or removes one scope. @returns false when the account already had it that way, or is gone */
export async function changeScope(
  db: Database,
  userId: number,
  scope: GrantableScope,
  isGranted: boolean,
): Promise<boolean> {
  const { rowCount } = await db.execute(
    isGranted
      ? sql`update ${users} set scopes = array_append(scopes, ${scope}::text)
          where id = ${userId} and not ${scope}::text = any(scopes)`
      : sql`update ${users} set scopes = array_remove(scopes, ${scope}::text)
          where id = ${userId} and ${scope}::text = any(scopes)`,
  );
  return rowCount === 1;
}
