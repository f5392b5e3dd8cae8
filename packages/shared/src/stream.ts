import { ALL_BROADCASTS, ALL_SECURITY_EVENTS, ALL_USER_EVENTS } from './subjects.ts';

const SECOND_NS = 1_000_000_000;

/** How long the broker recognises an event's id as already stored, in seconds. */
export const DUPLICATE_WINDOW_SECONDS = 600;

/** How long an event can be resumed from, in seconds: 7 days. */
export const EVENT_RETENTION_SECONDS = 7 * 24 * 3600;

export const EVENTS_STREAM_NAME = 'EVENTS';

/**
 * The stream's configuration in JetStream's own terms (durations in nanoseconds), without `num_replicas`,
 * which the deployment decides (1 on one machine, 3 in a cluster).
 *
 * Age is the only limit. A limit by size or count would evict silently under a flood; by age the promise
 * "resume within 7 days" holds for every user alike. `deny_delete` and `deny_purge` make the log append-only
 * for clients, so that a position, once seen, means the same event for as long as it is held.
 */
export const EVENTS_STREAM = {
  name: EVENTS_STREAM_NAME,
  description: 'Every account event, in the order it was relayed from the outbox',
  subjects: [ALL_USER_EVENTS, ALL_BROADCASTS],
  storage: 'file',
  retention: 'limits',
  discard: 'old',
  max_age: EVENT_RETENTION_SECONDS * SECOND_NS,
  duplicate_window: DUPLICATE_WINDOW_SECONDS * SECOND_NS,
  allow_direct: true,
  deny_delete: true,
  deny_purge: true,
} as const;

export const SECURITY_STREAM_NAME = 'SECURITY';

/** 30 days: whoever watches may have been away for a while, and there are few of them. */
const SECURITY_RETENTION_SECONDS = 30 * 24 * 3600;

/** Signs of attacks, in a stream of their own: who may read the events of users need not see them. */
export const SECURITY_STREAM = {
  ...EVENTS_STREAM,
  name: SECURITY_STREAM_NAME,
  description: 'Signs of attacks, for operators',
  subjects: [ALL_SECURITY_EVENTS],
  max_age: SECURITY_RETENTION_SECONDS * SECOND_NS,
} as const;
