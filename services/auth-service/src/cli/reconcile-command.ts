import { readOutboxStatus } from '../outbox/outbox-status.ts';
import { reconcile } from '../outbox/forgotten-commits.ts';
import { withBroker } from './broker-session.ts';
import { CommandError, readCount, type ServiceCommand } from './command.ts';
import { surveyStream } from './stream-survey.ts';

/** An hour: a replica that is further behind is no replica to fail over to. */
const MINUTES = 60;

/** As long as the stream keeps events. */
const MINUTES_MAX = 7 * 24 * 60;

/** More ids than these fit no screen; `--json` has them all. */
const IDS_SHOWN = 20;

function toList(ids: readonly number[]): string {
  const rest = ids.length > IDS_SHOWN ? ` and ${ids.length - IDS_SHOWN} more` : '';
  return `${ids.slice(0, IDS_SHOWN).join(', ')}${rest}`;
}

/** `infrasignal outbox reconcile` */
export const outboxReconcile: ServiceCommand = {
  name: 'outbox reconcile',
  usage: '[--minutes <count>]',
  summary: 'After the database lost its newest commits: takes over from the stream what it must not forget.',
  details: [
    'For a failover to a replica that was behind, or a restored backup. Stop every auth-service first. Counters of events',
    'are raised to what was published, ids of users beyond those that were given out, and sessions that had ended end',
    'again. Accounts that are missing, and deleted ones that are back, are named; nothing brings lost commits back.',
    '',
    `  --minutes <count>   how far to look back in the stream (${MINUTES}); at least as far as the database did`,
  ],
  examples: ['infrasignal outbox reconcile', 'infrasignal outbox reconcile --minutes 1440'],
  options: { minutes: { type: 'string' } },
  run: async ({ db, config, terminal }, given) => {
    const minutes = readCount(given, 'minutes', { fallback: MINUTES, min: 1, max: MINUTES_MAX });
    const { leader } = await readOutboxStatus(db);
    if (leader !== null) throw new CommandError(`stop every auth-service first: one is connected, ${leader}`);
    const since = new Date(Date.now() - minutes * 60_000);
    const survey = await withBroker(config, (session) =>
      surveyStream(session, since, (messages) => terminal.redraw?.(`reading the stream: ${messages} events`)),
    );
    terminal.redraw?.('');
    const result = await reconcile(db, survey);
    const { raisedUsers, endedSessions, missingUserIds, returnedUserIds, isBroadcastLogRaised } = result;
    return {
      data: {
        events: survey.messages,
        raised_users: raisedUsers,
        ended_sessions: endedSessions,
        missing_user_ids: missingUserIds,
        returned_user_ids: returnedUserIds,
        broadcast_log_raised: isBroadcastLogRaised,
      },
      lines: [
        `${survey.messages} events of ${survey.newestSeqs.size} users since ${since.toISOString()}.`,
        `${raisedUsers} counters raised, ${endedSessions} sessions ended again.`,
        ...(missingUserIds.length === 0 ? [] : [`Accounts that are missing, and have to register again: ${toList(missingUserIds)}`]),
        ...(returnedUserIds.length === 0
          ? []
          : [`Deleted accounts that are back; infrasignal users delete <id> --yes: ${toList(returnedUserIds)}`]),
      ],
    };
  },
};
