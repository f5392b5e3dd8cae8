/**
 * If this breaks: a user's event is delivered twice, or a socket is told that its user has none while there are some.
 */
import t from 'tap';
import { NewestSequences } from '../../src/hub/newest-sequences.ts';

const at = (sequence: number): { sequence: number; eventId: string } => ({ sequence, eventId: `e${sequence}` });

t.test('the newest seq of the users heard of lately is kept, and no more', async (t) => {
  const newest = new NewestSequences(3);
  t.equal(newest.advance(1, 5, at(1)), true);
  t.equal(newest.advance(1, 5, at(2)), false);
  t.equal(newest.advance(1, 4, at(3)), false);
  t.same(newest.find(1), { seq: 5, position: at(1), skipped: 0, log: 0 });
  for (const userId of [2, 3]) newest.advance(userId, 1, at(userId));
  newest.advance(1, 6, at(9));
  newest.advance(4, 1, at(10));
  t.equal(newest.find(2), null, 'heard of longest ago');
  t.equal(newest.find(1)?.seq, 6);
  t.equal(newest.size, 3);
});

t.test('that the broker holds nothing of a user counts until something may have come', async (t) => {
  const ends: Record<string, (newest: NewestSequences) => void> = {
    'an event': (newest) => newest.advance(1, 1, at(7)),
    'what is no event': (newest) => newest.skip(1),
    'what the broker told since': (newest) => newest.learn(1, 1, at(7)),
    'events that were not read': (newest) => newest.lose(),
    'another log': (newest) => newest.logChanged(),
    'too many others': (newest) => [2, 3, 4].forEach((userId) => newest.learnWithout(userId, newest.interruptions)),
  };
  for (const [name, end] of Object.entries(ends)) {
    const newest = new NewestSequences(3);
    newest.learnWithout(1, newest.interruptions);
    t.equal(newest.isWithout(1), true);
    end(newest);
    t.equal(newest.isWithout(1), false, name);
  }
});

t.test('an answer from before an interruption, or overtaken by an event, says nothing', async (t) => {
  const newest = new NewestSequences(3);
  const { interruptions } = newest;
  newest.lose();
  newest.learnWithout(1, interruptions);
  t.equal(newest.isWithout(1), false);
  newest.advance(2, 1, at(7));
  newest.learnWithout(2, newest.interruptions);
  t.equal(newest.isWithout(2), false);
});
