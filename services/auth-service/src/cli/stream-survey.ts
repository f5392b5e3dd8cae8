import { EVENTS_STREAM_NAME, findEndedSessions, parseEvent, userDeleted } from '@infrasignal/shared';
import type { StoredMsg } from '@nats-io/jetstream';
import type { BrokerSession } from './broker-session.ts';
import { CommandError } from './command.ts';
import { findStream } from './stream-commands.ts';

/** What the stream knows of the time that was looked at. */
export interface StreamSurvey {
  readonly messages: number;
  /** The newest `seq` of each user that has an event in it. */
  readonly newestSeqs: ReadonlyMap<number, number>;
  /** The newest of what was sent to everybody; 0 when there is none. */
  readonly broadcastSeq: number;
  readonly endedSessionIds: ReadonlySet<string>;
  readonly deletedUserIds: ReadonlySet<number>;
}

/** Asked for at once: the broker answers some 3,000 a second one by one, and several times as many side by side. */
const MESSAGES_AT_ONCE = 200;

/** Reads what was stored since a moment, the newest first. */
export async function surveyStream(
  session: BrokerSession,
  since: Date,
  onProgress: (messages: number) => void,
): Promise<StreamSurvey> {
  const info = await findStream(session, EVENTS_STREAM_NAME);
  if (info === null) throw new CommandError(`the broker has no stream ${EVENTS_STREAM_NAME}`);
  const newestSeqs = new Map<number, number>();
  const endedSessionIds = new Set<string>();
  const deletedUserIds = new Set<number>();
  let broadcastSeq = 0;
  let messages = 0;
  const note = ({ subject, data }: StoredMsg): void => {
    const parsed = parseEvent(subject, data);
    if (!parsed.ok) return;
    const { userId, event } = parsed;
    for (const sessionId of findEndedSessions(event)) endedSessionIds.add(sessionId);
    if (userId === null) broadcastSeq = Math.max(broadcastSeq, event.seq);
    else newestSeqs.set(userId, Math.max(newestSeqs.get(userId) ?? 0, event.seq));
    if (userId !== null && event.type === userDeleted.type) deletedUserIds.add(userId);
  };
  const { first_seq: first, last_seq: last } = info.state;
  for (let end = last; end >= first; end -= MESSAGES_AT_ONCE) {
    const sequences = Array.from({ length: Math.min(MESSAGES_AT_ONCE, end - first + 1) }, (_, at) => end - at);
    const batch = await Promise.all(
      sequences.map((seq) => session.manager.streams.getMessage(EVENTS_STREAM_NAME, { seq })),
    );
    const fresh = batch.filter((message) => message !== null && message.time >= since);
    for (const message of fresh) if (message !== null) note(message);
    messages += fresh.length;
    onProgress(messages);
    if (fresh.length < batch.length) break;
  }
  return { messages, newestSeqs, broadcastSeq, endedSessionIds, deletedUserIds };
}
