import { eq, isNull, sql } from 'drizzle-orm';
import { randomUUID } from 'node:crypto';
import { serviceClients, sessions, users } from '../../db/schema/index.ts';
import type { Database } from '../../plugins/database-plugin.ts';

export interface ServiceClient {
  readonly id: string;
  readonly userId: number;
  readonly sessionId: string;
  readonly name: string;
  readonly scopes: string[];
  readonly secretHash: string;
  /** Null when there is none or its time is over. */
  readonly previousSecretHash: string | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

const columns = {
  id: serviceClients.id,
  userId: serviceClients.userId,
  sessionId: serviceClients.sessionId,
  name: users.phoneNumber,
  scopes: users.scopes,
  secretHash: serviceClients.secretHash,
  previousSecretHash: sql<string | null>`case when ${serviceClients.previousSecretExpiresAt} > now()
    then ${serviceClients.previousSecretHash} end`,
  createdAt: serviceClients.createdAt,
  lastUsedAt: serviceClients.lastUsedAt,
  revokedAt: sessions.revokedAt,
};

/** One client with what its secret is checked against; null if there is none. */
export async function findServiceClient(db: Database, id: string): Promise<ServiceClient | null> {
  const [row] = await db
    .select(columns)
    .from(serviceClients)
    .innerJoin(users, eq(users.id, serviceClients.userId))
    .innerJoin(sessions, eq(sessions.id, serviceClients.sessionId))
    .where(eq(serviceClients.id, id));
  return row ?? null;
}

/** Every client, oldest first. */
export async function findServiceClients(db: Database): Promise<ServiceClient[]> {
  return db
    .select(columns)
    .from(serviceClients)
    .innerJoin(users, eq(users.id, serviceClients.userId))
    .innerJoin(sessions, eq(sessions.id, serviceClients.sessionId))
    .orderBy(serviceClients.createdAt);
}

export interface NewServiceClient {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly secretHash: string;
}

/** Creates the client, its user and its session in one statement. @returns the client's id */
export async function insertServiceClient(db: Database, client: NewServiceClient): Promise<string> {
  const id = randomUUID();
  const scopes = sql`array(select jsonb_array_elements_text(${JSON.stringify(client.scopes)}::jsonb))`;
  // A service's session has no end of its own: it ends by revocation, and each token of it within minutes anyway.
  await db.execute(sql`
    with account as (
      insert into ${users} (kind, phone_number, scopes) values ('service', ${client.name}, ${scopes}) returning id
    ), session as (
      insert into ${sessions} (id, user_id, idle_expires_at, expires_at, user_agent)
      select ${randomUUID()}::uuid, id, '9999-12-31Z', '9999-12-31Z', ${`service ${client.name}`} from account
      returning id, user_id
    )
    insert into ${serviceClients} (id, user_id, session_id, secret_hash)
    select ${id}::uuid, user_id, id, ${client.secretHash} from session`);
  return id;
}

/** Puts a new secret in place; the one before stays good for `overlapSeconds`. @returns false if there is no client */
export async function replaceSecret(
  db: Database,
  id: string,
  secretHash: string,
  overlapSeconds: number,
): Promise<boolean> {
  const updated = await db
    .update(serviceClients)
    .set({
      secretHash,
      previousSecretHash: sql`${serviceClients.secretHash}`,
      previousSecretExpiresAt: sql`now() + make_interval(secs => ${overlapSeconds})`,
    })
    .where(eq(serviceClients.id, id))
    .returning({ id: serviceClients.id });
  return updated.length === 1;
}

/** Notes that a client was here, at most once a minute: a busy one must not turn every token into a write. */
export async function touchServiceClient(db: Database, id: string): Promise<void> {
  const isStale = sql`${serviceClients.lastUsedAt} < now() - interval '1 minute'`;
  await db
    .update(serviceClients)
    .set({ lastUsedAt: sql`now()` })
    .where(sql`${eq(serviceClients.id, id)} and (${isNull(serviceClients.lastUsedAt)} or ${isStale})`);
}
