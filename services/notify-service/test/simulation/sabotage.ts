import { encodeFeedCursor, parseCursor } from '@infrasignal/shared';
import type { BrokerConsumer } from '../../src/relay/consumer-epoch.ts';
import { NewestSequences } from '../../src/hub/newest-sequences.ts';
import type { LogEntry } from '../../src/relay/log-entry.ts';
import type { RecentEvents } from '../../src/relay/recent-events.ts';
import type { BrokerLink } from './model-broker.ts';
import type { Sabotage } from './sim-node.ts';

/** One thing that a node is there to do, left out. */
export interface Control {
  readonly name: string;
  readonly sabotage: Sabotage;
  /** Breaks what no part lets be broken from outside; returns what mends it. */
  readonly install?: () => () => void;
}

/** The id of the event that is at a position now. */
function idAt(link: BrokerLink, sequence: number): string | null {
  return link.broker.stream.at(sequence)?.id ?? null;
}

/** A consumer that counts its deliveries anew, so that a missing one is not missed. */
function renumbered(consumer: BrokerConsumer): BrokerConsumer {
  let deliveries = 0;
  return {
    startsAfter: consumer.startsAfter,
    pendingAtStart: consumer.pendingAtStart,
    stop: () => {
      consumer.stop();
    },
    delete: () => consumer.delete(),
    read: (onDelivery, onDoubt) =>
      consumer.read(({ message }) => {
        deliveries += 1;
        onDelivery({ message, deliverySequence: deliveries });
      }, onDoubt),
  };
}

/** Goes on behind the last position, as consumers of libraries do, whatever the log is by then. */
function byPosition(): NonNullable<Sabotage['consumer']> {
  const last = new WeakMap<BrokerLink, number>();
  return async (link, start, filter) => {
    const known = last.get(link);
    const isRecovery = filter === null && 'fromTimeMs' in start && known !== undefined;
    const consumer = await link.createConsumer(isRecovery ? { fromSequence: known + 1 } : start, filter);
    if (filter !== null) return consumer;
    return {
      startsAfter: consumer.startsAfter,
      pendingAtStart: consumer.pendingAtStart,
      stop: () => {
        consumer.stop();
      },
      delete: () => consumer.delete(),
      read: (onDelivery, onDoubt) =>
        consumer.read((delivery) => {
          last.set(link, delivery.message.sequence);
          onDelivery(delivery);
        }, onDoubt),
    };
  };
}

/** Remembers what was at a position first, whatever is there now. */
function keepForGood(recent: RecentEvents): void {
  const kept = new Map<number, LogEntry>();
  const add = recent.add.bind(recent);
  recent.add = (entry) => {
    if (!kept.has(entry.sequence)) kept.set(entry.sequence, entry);
    add(entry);
  };
  recent.covers = (sequence) => kept.has(sequence);
  recent.find = (sequence) => kept.get(sequence) ?? null;
}

export const controls: readonly Control[] = [
  {
    name: 'what was seen before is not dropped',
    sabotage: {},
    install: () => {
      const { prototype } = NewestSequences;
      const whole = Object.getOwnPropertyDescriptor(prototype, 'advance') as { value: NewestSequences['advance'] };
      prototype.advance = function (this: NewestSequences, ...event) {
        whole.value.apply(this, event);
        return true;
      };
      return () => {
        Object.defineProperty(prototype, 'advance', whole);
      };
    },
  },
  {
    name: 'a user of whom nothing was held is taken to have nothing for good',
    sabotage: {},
    install: () => {
      const { prototype } = NewestSequences;
      const whole = Object.getOwnPropertyDescriptor(prototype, 'isWithout') as { value: NewestSequences['isWithout'] };
      const known = new WeakMap<NewestSequences, Set<number>>();
      prototype.isWithout = function (this: NewestSequences, userId) {
        const users = known.get(this) ?? new Set();
        known.set(this, users);
        if (whole.value.call(this, userId)) users.add(userId);
        return users.has(userId);
      };
      return () => {
        Object.defineProperty(prototype, 'isWithout', whole);
      };
    },
  },
  {
    name: 'what arrives during a join is not kept for it',
    sabotage: {
      parts: ({ hub }) => {
        const admit = hub.admit.bind(hub);
        hub.admit = (connection, admission) => {
          connection.waiting = [];
          admit(connection, admission);
        };
      },
    },
  },
  {
    name: 'a hole in a user’s numbers is passed over',
    sabotage: {
      parts: ({ hub }) => {
        const publish = hub.publish.bind(hub);
        hub.publish = (event) => {
          for (const connection of hub.connections) connection.skippedSeqs = 1_000;
          publish(event);
        };
      },
    },
  },
  {
    name: 'a place in the feed is believed without the event that was there',
    sabotage: {
      parts: ({ feedResume, link }) => {
        const join = feedResume.join.bind(feedResume);
        feedResume.join = (wanted) => {
          const cursor = wanted.after === null ? null : parseCursor(wanted.after);
          if (cursor?.kind !== 'feed') return join(wanted);
          const { sequence } = cursor.position;
          const after = encodeFeedCursor({ sequence, eventId: idAt(link, sequence) ?? cursor.position.eventId });
          return join({ ...wanted, after });
        };
      },
    },
  },
  {
    name: 'ended sessions are let in',
    sabotage: {
      parts: ({ hub }) => {
        hub.isRevoked = () => false;
      },
    },
  },
  {
    name: 'sessions that ended before a node’s start are not known to it',
    sabotage: {
      parts: ({ hub }) => {
        const revoke = hub.revoke.bind(hub);
        hub.revoke = (sessionId, by) => {
          if (by !== undefined) revoke(sessionId, by);
        };
      },
    },
  },
  {
    name: 'the end of a token is passed over',
    sabotage: {
      parts: ({ hub }) => {
        hub.renew = () => undefined;
      },
    },
  },
  {
    name: 'memory outlives the log that it is of',
    sabotage: {
      parts: ({ recent }) => {
        keepForGood(recent);
      },
    },
  },
  { name: 'the reading goes on by position alone', sabotage: { consumer: byPosition() } },
  {
    name: 'a missing delivery is not noticed',
    sabotage: { consumer: async (link, start, filter) => renumbered(await link.createConsumer(start, filter)) },
  },
  {
    name: 'nobody watches a reading that went quiet',
    sabotage: {
      parts: ({ timers }) => {
        timers.every = () => () => undefined;
      },
    },
  },
];
