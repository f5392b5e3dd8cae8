/**
 * Names on the broker. A subject is `users.<user_id>.<type>`, so that a consumer can filter by user
 * (`users.42.>`) or by type (`users.*.user.login`), and the number of subjects grows with users, not with events.
 * What is for everybody is on `broadcasts.<type>`: a log of its own, so that no user's has a hole.
 */

/** Dot-separated lower-case words, at least two: `user.registered`. No wildcard can be spelled with it. */
export const EVENT_TYPE_PATTERN = '^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$';

/** 128 characters: three times the longest type there is, far below the broker's limit for a subject. */
export const EVENT_TYPE_LENGTH_MAX = 128;

/** Every user event. */
export const ALL_USER_EVENTS = 'users.>';

/** Everything that was sent to everybody. */
export const ALL_BROADCASTS = 'broadcasts.>';

/** Signs of attacks, each on the subject that its type is: `security.password_spraying`. No user sees them. */
export const ALL_SECURITY_EVENTS = 'security.>';

/** Core NATS subject on which an auth-service instance tells the relay's leader that a row was committed. */
export const OUTBOX_HINT_SUBJECT = 'infrasignal.outbox.hint';

/** Core NATS subject on which notify nodes tell each other of the sockets that users open and close. */
export const SOCKET_ANNOUNCEMENTS_SUBJECT = 'infrasignal.notify.sockets';

/** Core NATS subject on which notify nodes say which users are connected to them. */
export const PRESENCE_LEASES_SUBJECT = 'infrasignal.notify.presence';

/** On it stands which notify node derives presence from the leases; see {@link PRESENCE_KEEPER_STREAM}. */
export const PRESENCE_KEEPER_SUBJECT = 'infrasignal.notify.presence-keeper';

/** Every change of every user's presence. Not below `users.`: it is for staff and services, not for the user. */
export const ALL_PRESENCE = 'presence.*';

/** The ends of everybody's sessions: what a node reads before it accepts its first socket. */
export const ALL_SESSION_REVOCATIONS = 'users.*.session.revoked';

const eventTypeExpression = new RegExp(EVENT_TYPE_PATTERN);
const userIdExpression = /^[1-9][0-9]{0,15}$/;

/** True for a user id that may stand in a subject: a positive safe integer. `*`, `>` and `a.b` are not. */
export function isUserId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

/** True for a well-formed event type within its length limit. */
export function isEventType(value: unknown): value is string {
  return typeof value === 'string' && value.length <= EVENT_TYPE_LENGTH_MAX && eventTypeExpression.test(value);
}

function assertUserId(userId: number): void {
  if (!isUserId(userId)) throw new RangeError('a user id in a subject is a positive safe integer');
}

/**
 * The subject of one event of one user, for instance `users.42.user.login`.
 * @throws RangeError for anything that could widen the subject: wildcards, dots in an id, an empty token.
 */
export function eventSubject(userId: number, type: string): string {
  assertUserId(userId);
  if (!isEventType(type)) throw new RangeError('an event type is dot-separated lower-case words');
  return `users.${userId}.${type}`;
}

/** The subject of an event for everybody, for instance `broadcasts.app.news`. @throws RangeError for no event type */
export function broadcastSubject(type: string): string {
  if (!isEventType(type)) throw new RangeError('an event type is dot-separated lower-case words');
  return `broadcasts.${type}`;
}

/** The filter for everything one user may see: `users.42.>`. @throws RangeError as {@link eventSubject}. */
export function userEventsFilter(userId: number): string {
  assertUserId(userId);
  return `users.${userId}.>`;
}

/** Takes `users.42.user.login` apart, or `broadcasts.app.news` (`userId` null); null for any other subject. */
export function parseEventSubject(subject: string): { userId: number | null; type: string } | null {
  if (subject.startsWith('broadcasts.')) {
    const type = subject.slice(11);
    return isEventType(type) ? { userId: null, type } : null;
  }
  if (!subject.startsWith('users.')) return null;
  const end = subject.indexOf('.', 6);
  if (end < 0) return null;
  const id = subject.slice(6, end);
  const type = subject.slice(end + 1);
  if (!userIdExpression.test(id) || !isEventType(type)) return null;
  const userId = Number(id);
  return isUserId(userId) ? { userId, type } : null;
}

/** The subject of one user's presence, `presence.42`. @throws RangeError as {@link eventSubject}. */
export function presenceSubject(userId: number): string {
  assertUserId(userId);
  return `presence.${userId}`;
}
