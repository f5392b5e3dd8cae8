import { waitFor, type TestStack } from '@infrasignal/testkit';

export interface Burst {
  readonly userId: number;
  readonly count: number;
  /** Of the text that each notification carries. */
  readonly textBytes: number;
}

/**
 * Written at once. The relay takes rows in the order of their ids: behind more of one user, the events of all others
 * would wait for that many acknowledgements, which no service can bring about (one request, one event for a user).
 */
const ROWS_AT_ONCE = 50;

/** The broker may be slow, or the machine busy. */
const RELAY_TIMEOUT_MS = 60_000;

/** As the notifications of a service are written (POST /api/notifications/), but many in one statement. */
const INSERT = `
  with counted as (
    update users set event_seq = event_seq + $2 where id = $1 returning id, phone_number, event_seq - $2 as before
  )
  insert into outbox (event_id, user_id, seq, type, data_version, payload)
  select gen_random_uuid(), id, before + number, 'app.burst', 1, jsonb_build_object(
    'notification_id', gen_random_uuid(), 'user_id', id, 'phone_number', phone_number,
    'messages', jsonb_build_object('fr', 'Encore un', 'en', 'One more'), 'data', jsonb_build_object('text', $3::text))
  from counted, generate_series(1, $2::int) as number order by number
  returning event_id as id`;

/**
 * Notifications to one user, as fast as the relay takes them.
 * @param onChunk called after every few of them
 * @returns the ids of the events
 */
export async function sendBurst(
  { database }: Pick<TestStack, 'database'>,
  { userId, count, textBytes }: Burst,
  onChunk: () => Promise<void>,
): Promise<string[]> {
  const ids: string[] = [];
  const text = 'x'.repeat(textBytes);
  while (ids.length < count) {
    const rows = await database.query<{ id: string }>(INSERT, [userId, Math.min(ROWS_AT_ONCE, count - ids.length), text]);
    ids.push(...rows.map(({ id }) => id));
    await waitFor(
      async () => {
        const [row] = await database.query<{ count: number }>(
          'select count(*)::int as count from outbox where published_at is null',
        );
        return row !== undefined && row.count < ROWS_AT_ONCE;
      },
      { timeoutMs: RELAY_TIMEOUT_MS, intervalMs: 2, description: 'the relay to take the burst' },
    );
    await onChunk();
  }
  return ids;
}
