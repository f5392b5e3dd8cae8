import { readOutboxStatus, replayKept } from '../outbox/outbox-status.ts';
import type { ServiceCommand } from './command.ts';
import { getAccount } from './named-account.ts';

/** Older than this, the oldest event is not just on its way. In seconds. */
export const WAITING_SECONDS_MAX = 10;

/** `infrasignal outbox status` */
export const outboxStatus: ServiceCommand = {
  name: 'outbox status',
  usage: '',
  summary: 'Shows which events wait to be published, and who publishes.',
  details: ['Exit code 1: events wait for longer than they should, or no instance publishes.'],
  examples: ['infrasignal outbox status', 'infrasignal outbox status --json'],
  run: async ({ db }) => {
    const status = await readOutboxStatus(db);
    const { waiting, oldestAgeSeconds, longestWaiting, kept, leader, brokerSince } = status;
    const users = longestWaiting.map(
      ({ userId, events, ageSeconds }) => `  user ${userId}: ${events} events, for ${ageSeconds.toFixed(1)} s`,
    );
    return {
      data: {
        waiting,
        oldest_age_seconds: oldestAgeSeconds,
        longest_waiting: longestWaiting.map((user) => ({
          user_id: user.userId,
          events: user.events,
          age_seconds: user.ageSeconds,
        })),
        kept,
        leader,
        broker_since: brokerSince,
      },
      lines: [
        `${waiting} events wait${waiting === 0 ? '.' : `, the oldest for ${oldestAgeSeconds.toFixed(1)} s:`}`,
        ...users,
        `${kept} are stored by the broker and kept for a while should it lose them.`,
        leader === null ? 'No instance publishes: is auth-service running?' : `Published by ${leader}.`,
        ...(brokerSince === null ? [] : [`The broker is the same since ${brokerSince.toISOString()}.`]),
      ],
      isFailed: leader === null || oldestAgeSeconds > WAITING_SECONDS_MAX,
    };
  },
};

/** `infrasignal outbox replay` */
export const outboxReplay: ServiceCommand = {
  name: 'outbox replay',
  usage: '[<user id | phone number>]',
  summary: 'Has the events of the last ten minutes published again, of one account or of everybody.',
  details: [
    'For when the broker has lost some without being restarted. What it still has it recognises and does not store',
    'again, so nobody hears anything twice. Older events are not kept: deploy/runbooks/broker-lost-its-disk.md.',
  ],
  examples: ['infrasignal outbox replay', 'infrasignal outbox replay 42'],
  run: async (context, { positionals: [who] }) => {
    const userId = who === undefined ? null : (await getAccount(context, who)).userId;
    const events = await replayKept(context.db, userId);
    return { data: { user_id: userId, events }, lines: [`${events} events are due to be published again.`] };
  },
};
