import {
  ALL_BROADCASTS,
  ALL_PRESENCE,
  ALL_SECURITY_EVENTS,
  ALL_USER_EVENTS,
  PRESENCE_KEEPER_SUBJECT,
} from './subjects.ts';

const SECOND_NS = 1_000_000_000;

/** How long the broker recognises an event's id as already stored, in seconds, unless the deployment decides otherwise. */
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

export const PRESENCE_STREAM_NAME = 'PRESENCE';

/** 7 days, as for events: a service that was away for less finds every change. */
const PRESENCE_RETENTION_SECONDS = EVENT_RETENTION_SECONDS;

/** A user whose phone comes and goes all day makes some hundred changes; more than these are of no use to anybody. */
const PRESENCE_CHANGES_PER_USER_MAX = 1_000;

/** Changes of users' presence, derived by one notify node at a time. The newest of a user is what holds. */
export const PRESENCE_STREAM = {
  ...EVENTS_STREAM,
  name: PRESENCE_STREAM_NAME,
  description: 'Who came online and went offline, for staff and services',
  subjects: [ALL_PRESENCE],
  max_age: PRESENCE_RETENTION_SECONDS * SECOND_NS,
  max_msgs_per_subject: PRESENCE_CHANGES_PER_USER_MAX,
} as const;

export const PRESENCE_KEEPER_STREAM_NAME = 'PRESENCE_KEEPER';

/** A keeper that did not renew for this long is one no more, and another may take its place. In seconds. */
export const PRESENCE_KEEPER_TTL_SECONDS = 6;

/**
 * One message: who keeps presence, for as long as it is held. Taken and renewed by naming the message that it replaces,
 * so two cannot have it. In memory: after a restart of the broker, whoever asks first is the next one.
 */
export const PRESENCE_KEEPER_STREAM = {
  name: PRESENCE_KEEPER_STREAM_NAME,
  description: 'Which notify node derives presence',
  subjects: [PRESENCE_KEEPER_SUBJECT],
  storage: 'memory',
  retention: 'limits',
  discard: 'old',
  max_age: PRESENCE_KEEPER_TTL_SECONDS * SECOND_NS,
  max_msgs_per_subject: 1,
  duplicate_window: SECOND_NS,
  allow_direct: true,
} as const;
