// If this breaks, thousands of pages that lost the same server come back in one moment and bring it down again, or a
// user looks at a page that does not come back for minutes.
import t from 'tap';
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, createBackoff } from '../public/backoff.js';

t.test('each delay is drawn from a window that doubles up to the cap', async (t) => {
  const highest = createBackoff({ random: () => 0.999_999 });
  const delays = Array.from({ length: 12 }, () => highest.next());
  const ceilings = Array.from({ length: 12 }, (_, attempt) => Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt));
  t.same(delays, ceilings.map((ceiling) => ceiling - 1));
});

t.test('full jitter: the smallest delay is none at all, however often it failed', async (t) => {
  const lowest = createBackoff({ random: () => 0 });
  for (let attempt = 0; attempt < 12; attempt += 1) t.equal(lowest.next(), 0);
});

t.test('a success starts again with the smallest window', async (t) => {
  const backoff = createBackoff({ random: () => 0.999_999 });
  for (let attempt = 0; attempt < 8; attempt += 1) backoff.next();
  backoff.reset();
  t.equal(backoff.next(), BACKOFF_BASE_MS - 1);
});

t.test('after a night of failures the delay is still a number within the cap', async (t) => {
  const backoff = createBackoff({ random: () => 0.5 });
  let delayMs = 0;
  for (let attempt = 0; attempt < 5_000; attempt += 1) delayMs = backoff.next();
  t.equal(delayMs, BACKOFF_CAP_MS / 2);
});
