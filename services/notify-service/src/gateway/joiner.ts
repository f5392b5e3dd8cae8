import type { ConnectedFrame } from '@infrasignal/shared';
import type { Connection } from '../hub/connection.ts';
import type { EventConsumer } from '../relay/event-consumer.ts';
import type { FeedResume } from '../relay/feed-resume.ts';
import { LogChangedError, type JoinPlan } from '../relay/resume.ts';
import type { UserResume } from '../relay/user-resume.ts';
import type { Listener } from './listener.ts';

export interface JoinerOptions {
  readonly consumer: Pick<EventConsumer, 'readThrough' | 'anchor' | 'isSameLog'>;
  readonly userResume: UserResume;
  readonly feedResume: FeedResume;
  readonly pingIntervalMs: number;
}

/** How a connection is let in. */
export interface Join {
  readonly plan: JoinPlan;
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
   * @throws StreamUnreadableError, JoinAbandonedError, LogChangedError
   */
  async join(connection: Connection, listener: Listener, after: string | null): Promise<Join> {
    const { consumer, feedResume, userResume } = this.#options;
    const { readThrough, anchor } = consumer;
    const log = { readThrough, anchor, broadcastSeq: connection.lastBroadcastSeq };
    const isWanted = (): boolean => connection.isOpen;
    const { audience } = connection;
    const plan =
      audience.kind === 'everything'
        ? await feedResume.join({ after, log, isWanted })
        : await userResume.join({ userId: audience.userId, after, log, isWanted });
    if (plan.isInDoubt && !(await consumer.isSameLog())) throw new LogChangedError();
    const outcome = plan.failure ?? (after === null ? 'fresh' : 'recovered');
    return { plan, greeting: this.#greeting(listener, plan), outcome };
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
