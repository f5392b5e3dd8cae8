import type { EventDefinition } from '@infrasignal/shared';
import { sql, type SQL } from 'drizzle-orm';
import { outbox } from '../db/schema/index.ts';

export interface OutboxEvent {
  readonly definition: Pick<EventDefinition, 'type' | 'version'>;
  /**
   * Name of the CTE that changed the user. It must return `id` (the user's) and `event_seq` (raised by one for this
   * event under the row's lock); one event is written per row it returns, none if it returns none.
   */
  readonly from: string;
  /** The event's data as a jsonb expression over that CTE; what `definition.data` describes. */
  readonly data: SQL;
}

/**
 * Renders the insert of an event for use as a CTE of the statement that makes the change:
 * `with changed as (update users … returning id, event_seq), event as (${insertEvent(…)}) select …`.
 */
export function insertEvent({ definition, from, data }: OutboxEvent): SQL {
  const source = sql.identifier(from);
  return sql`insert into ${outbox} (event_id, user_id, seq, type, data_version, payload)
    select gen_random_uuid(), ${source}.id, ${source}.event_seq, ${definition.type}::text,
      ${definition.version}::bigint, ${data}
    from ${source}`;
}
