import type { ConnectedFrame } from '@infrasignal/shared';
import type { Connection } from '../hub/connection.ts';
import type { EventConsumer } from '../relay/event-consumer.ts';
import type { FeedResume } from '../relay/feed-resume.ts';
import type { OwnResume } from '../relay/own-resume.ts';
import type { JoinPlan } from '../relay/resume.ts';
import type { Listener } from './listener.ts';

export interface JoinerOptions {
  readonly consumer: Pick<EventConsumer, 'readThrough' | 'anchor'>;
  readonly ownResume: OwnResume;
  readonly feedResume: FeedResume;
  readonly pingIntervalMs: number;
}

/** How a connection is let in. */
export interface Join extends Pick<JoinPlan, 'replay' | 'lastSeq' | 'seenThrough'> {
  readonly greeting: ConnectedFrame;
  /** `fresh`, `recovered`, or why it was not: for the counters. */
  readonly outcome: string;
}

/** Brings a connection with a cursor in: what it is told first, and what it missed. */
export class Joiner {
  readonly #options: JoinerOptions;

  constructor(options: JoinerOptions) {
    this.#options = options;
  }

  /**
   * Call at once after the connection was registered: the log is looked at before anything is waited for.
   * @param after the cursor that the client gave, null for none
   * @throws StreamUnreadableError, JoinAbandonedError
   */
  async join(connection: Connection, listener: Listener, after: string | null): Promise<Join> {
    const { consumer, feedResume, ownResume } = this.#options;
    const log = { readThrough: consumer.readThrough, anchor: consumer.anchor };
    const isWanted = (): boolean => connection.isOpen;
    const { audience } = connection;
    const plan =
      audience.kind === 'everything'
        ? await feedResume.join({ after, log, isWanted })
        : await ownResume.join({ userId: audience.userId, after, log, isWanted });
    const { replay, lastSeq, seenThrough } = plan;
    const outcome = plan.failure ?? (after === null ? 'fresh' : 'recovered');
    return { greeting: this.#greeting(listener, plan), replay, lastSeq, seenThrough, outcome };
  }

  #greeting({ userId, sessionId, expiresAtMs, ticket }: Listener, plan: JoinPlan): ConnectedFrame {
    return {
      type: 'connected',
      user_id: userId,
      session_id: sessionId,
      seq: plan.seq,
      cursor: plan.cursor,
      recovered: plan.failure === null,
      ...(plan.failure === null ? {} : { reason: plan.failure }),
      ping_ms: this.#options.pingIntervalMs,
      expires_at: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
      ...(ticket === null ? {} : { ticket }),
    };
  }
}
