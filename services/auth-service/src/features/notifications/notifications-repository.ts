import type { Traced } from '@infrasignal/service-kit';
import { appNotification, type NotificationTexts } from '@infrasignal/shared';
import { sql, type SQL } from 'drizzle-orm';
import { broadcastLog, notificationAllowances, sentNotifications, users } from '../../db/schema/index.ts';
import { BROADCAST_LOG_ID, insertEvent } from '../../outbox/outbox-writer.ts';
import type { Database } from '../../plugins/database-plugin.ts';

/** A day, as long as any key is kept. A row is removed by a later notification: it may live longer, never shorter. */
const SENT_TTL_SECONDS = 86_400;

/** Rows that one notification removes: more than it adds, so that they never pile up; few, so that it stays quick. */
const EXPIRED_ROWS_MAX = 10;

/** What one sender may send in one minute of the clock. */
export interface Allowance {
  readonly recipientsPerMinuteMax: number;
  readonly broadcastsPerMinuteMax: number;
}

/** What somebody wants to be told. */
export interface Submission extends Traced {
  readonly senderId: number;
  readonly idempotencyKey: string;
  /** The whole request as JSON, to tell a retry from another request under the same key. */
  readonly request: string;
  readonly type: string;
  readonly messages: NotificationTexts;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What was sent, as it is answered each time that it is asked for. */
export interface Sent {
  readonly id: string;
  /** Null: everybody. */
  readonly recipientCount: number | null;
  readonly unknownUserIds: readonly number[];
}

const SENT_COLUMNS = sql`id, recipient_count as "recipientCount", unknown_user_ids::float8[] as "unknownUserIds"`;

/** Through jsonb, which orders the members of objects: a retry that spells its data in another order is still one. */
const hashOf = ({ request }: Submission): SQL => sql`encode(sha256(convert_to(${request}::jsonb::text, 'UTF8')), 'hex')`;

const isOfKey = ({ senderId, idempotencyKey }: Submission): SQL =>
  sql`sender_id = ${senderId} and idempotency_key = ${idempotencyKey}`;

/**
 * The CTE `allowance`: one row if this was not sent before and the sender may send so much more in this minute. It is
 * counted under the lock of the sender's row, so that any number of requests at once stay within it together.
 */
function takeAllowance(submission: Submission, wanted: { recipients: number; broadcasts: number }, max: Allowance): SQL {
  const isSameMinute = sql`allowed.minute >= excluded.minute`;
  const recipients = sql`case when ${isSameMinute} then allowed.recipient_count else 0 end + excluded.recipient_count`;
  const broadcasts = sql`case when ${isSameMinute} then allowed.broadcast_count else 0 end + excluded.broadcast_count`;
  return sql`
    insert into ${notificationAllowances} as allowed (sender_id, minute, recipient_count, broadcast_count)
    select ${submission.senderId}::bigint, date_trunc('minute', now()), ${wanted.recipients}::int, ${wanted.broadcasts}::int
    where not exists (select 1 from ${sentNotifications} where ${isOfKey(submission)})
    on conflict (sender_id) do update set
      minute = greatest(allowed.minute, excluded.minute),
      recipient_count = ${recipients},
      broadcast_count = ${broadcasts}
    where ${recipients} <= ${max.recipientsPerMinuteMax} and ${broadcasts} <= ${max.broadcastsPerMinuteMax}
    returning sender_id`;
}

/** The CTE `sent`: one row, unless another request with this key came first. */
function insertSent(submission: Submission, counts: { recipients: SQL; unknownUserIds: SQL }): SQL {
  return sql`
    insert into ${sentNotifications}
      (id, sender_id, idempotency_key, request_hash, recipient_count, unknown_user_ids)
    select gen_random_uuid(), sender_id, ${submission.idempotencyKey}, ${hashOf(submission)},
      ${counts.recipients}, ${counts.unknownUserIds}
    from allowance
    on conflict (sender_id, idempotency_key) do nothing
    returning id, recipient_count, unknown_user_ids`;
}

/** The event of `sent` for each row of the CTE `recipient_log`. */
function insertEvents(submission: Submission, owner: { userId: SQL; phoneNumber: SQL }): SQL {
  const { type, messages, data, traceparent } = submission;
  return insertEvent({
    definition: { type, version: appNotification.version },
    from: 'recipient_log',
    traceparent,
    data: sql`jsonb_build_object(
      'notification_id', (select id from sent), 'user_id', ${owner.userId}, 'phone_number', ${owner.phoneNumber},
      'messages', ${JSON.stringify(messages)}::jsonb, 'data', ${JSON.stringify(data)}::jsonb)`,
  });
}

const deleteExpired = sql`
  delete from ${sentNotifications} where id in (
    select id from ${sentNotifications} where created_at < now() - make_interval(secs => ${SENT_TTL_SECONDS})
    order by created_at limit ${EXPIRED_ROWS_MAX} for update skip locked)`;

/**
 * Sends a notification to users: an event for each, the key, and what it used up, in one statement. Users are locked in
 * the order of their ids, so that two lists that overlap wait for each other and never for ever.
 * @returns null if nothing was written: see {@link findSent} for why
 */
export async function insertForUsers(
  db: Database,
  submission: Submission,
  userIds: readonly number[],
  allowance: Allowance,
): Promise<Sent | null> {
  const ids = sql`${sql.param([...userIds])}::bigint[]`;
  const { rows } = await db.execute<Sent & Record<string, unknown>>(sql`
    with allowance as (
      ${takeAllowance(submission, { recipients: userIds.length, broadcasts: 0 }, allowance)}
    ), recipient as materialized (
      select id from ${users} where id = any(${ids}) and exists (select 1 from allowance)
      order by id for no key update
    ), sent as (
      ${insertSent(submission, {
        recipients: sql`(select count(*) from recipient)`,
        unknownUserIds: sql`array(
          select asked.id from unnest(${ids}) with ordinality as asked(id, place)
          where asked.id not in (select id from recipient) order by asked.place)`,
      })}
    ), recipient_log as (
      update ${users} set event_seq = event_seq + 1
      where id in (select id from recipient) and exists (select 1 from sent)
      returning id, event_seq, phone_number
    ), event as (
      ${insertEvents(submission, { userId: sql`recipient_log.id`, phoneNumber: sql`recipient_log.phone_number` })}
    ), expired as (${deleteExpired})
    select ${SENT_COLUMNS} from sent`);
  return rows[0] ?? null;
}

/**
 * Sends a notification to everybody: one event in the log of broadcasts, whatever the number of users.
 * @returns null if nothing was written: see {@link findSent} for why
 */
export async function insertBroadcast(db: Database, submission: Submission, allowance: Allowance): Promise<Sent | null> {
  const { rows } = await db.execute<Sent & Record<string, unknown>>(sql`
    with allowance as (
      ${takeAllowance(submission, { recipients: 0, broadcasts: 1 }, allowance)}
    ), sent as (
      ${insertSent(submission, { recipients: sql`null::int`, unknownUserIds: sql`'{}'::bigint[]` })}
    ), recipient_log as (
      insert into ${broadcastLog} as log (is_only_row, event_seq) select true, 1 from sent
      on conflict (is_only_row) do update set event_seq = log.event_seq + 1
      returning ${BROADCAST_LOG_ID}::bigint as id, event_seq
    ), event as (
      ${insertEvents(submission, { userId: sql`null::bigint`, phoneNumber: sql`null::text` })}
    ), expired as (${deleteExpired})
    select ${SENT_COLUMNS} from sent`);
  return rows[0] ?? null;
}

/** What there is to say beside what was sent. */
interface Lookup {
  readonly isSameRequest: boolean;
  readonly secondsToNextMinute: number;
}

/** What was sent under this key, whether it was this request, and how long the minute still lasts. */
export async function findSent(db: Database, submission: Submission): Promise<Lookup & { readonly sent: Sent | null }> {
  const { rows } = await db.execute<Sent & Lookup & Record<string, unknown>>(sql`
    select ${SENT_COLUMNS}, coalesce(request_hash = ${hashOf(submission)}, false) as "isSameRequest",
      ceil(60 - extract(second from now()))::int as "secondsToNextMinute"
    from (select 1) as one left join ${sentNotifications} on ${isOfKey(submission)}`);
  const [row] = rows;
  if (row === undefined) throw new Error('a left join on one row returned none');
  const { id, recipientCount, unknownUserIds, isSameRequest, secondsToNextMinute } = row;
  const sent = (id as string | null) === null ? null : { id, recipientCount, unknownUserIds };
  return { sent, isSameRequest, secondsToNextMinute };
}
