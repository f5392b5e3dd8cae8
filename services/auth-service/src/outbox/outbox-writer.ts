import type { EventDefinition } from '@infrasignal/shared';
import type { Traced } from '@infrasignal/service-kit';
import { sql, type SQL } from 'drizzle-orm';
import { outbox } from '../db/schema/index.ts';

/**
 * In place of a user's id in the outbox: the log of what is for everybody. Users' ids start at 1. To the relay it is a
 * user like any other, with an order, a tail and a counter of its own; only where it is published differs.
 */
export const BROADCAST_LOG_ID = 0;

export interface OutboxEvent extends Traced {
  readonly definition: Pick<EventDefinition, 'type' | 'version'>;
  /**
   * Name of the CTE that changed the user. It must return `id` (the user's, or BROADCAST_LOG_ID) and `event_seq`
   * (raised by one for this event under the row's lock); one event is written per row it returns, none if it returns
   * none.
   */
  readonly from: string;
  /** The event's data as a jsonb expression over that CTE; what `definition.data` describes. */
  readonly data: SQL;
}

/**
 * Renders the insert of an event for use as a CTE of the statement that makes the change:
 * `with changed as (update users … returning id, event_seq), event as (${insertEvent(…)}) select …`.
 */
export function insertEvent({ definition, from, data, traceparent }: OutboxEvent): SQL {
  const source = sql.identifier(from);
  return sql`insert into ${outbox} (event_id, user_id, seq, type, data_version, traceparent, payload)
    select gen_random_uuid(), ${source}.id, ${source}.event_seq, ${definition.type}::text,
      ${definition.version}::bigint, ${traceparent}::text, ${data}
    from ${source}`;
}
