// If this breaks, a user reads a wrong age beside a notification, or a countdown that stands at zero.
import t from 'tap';
import { relativeTime, secondsLeft } from '../public/times.js';

const now = Date.parse('2025-06-01T12:00:00Z');
const ago = (seconds: number, locale = 'en'): string => relativeTime(now - seconds * 1000, now, locale, 'just now');

t.test('an age in the unit that fits, never rounded up', async (t) => {
  const expected: [number, string][] = [
    [0, 'just now'], [9, 'just now'], [10, '10 seconds ago'], [59, '50 seconds ago'], [60, '1 minute ago'],
    [3599, '59 minutes ago'], [3600, '1 hour ago'], [86_399, '23 hours ago'], [86_400, 'yesterday'],
    [3 * 86_400, '3 days ago'],
  ];
  for (const [seconds, text] of expected) t.equal(ago(seconds), text);
  t.equal(ago(120, 'fr'), 'il y a 2 minutes');
});

t.test('a clock that is behind the server\'s does not show the future', async (t) => {
  t.equal(ago(-30), 'just now');
});

t.test('a countdown ends with 1 and is over at 0', async (t) => {
  t.equal(secondsLeft(now + 5000, now), 5);
  t.equal(secondsLeft(now + 1, now), 1);
  t.equal(secondsLeft(now, now), 0);
  t.equal(secondsLeft(now - 5000, now), 0);
});
