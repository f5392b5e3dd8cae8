// If this breaks, a storm of logins is hashed all at once: nobody gets in, and what else the service does stands still.
import { ProblemError } from '@infrasignal/service-kit';
import t from 'tap';
import { HashQueue, type HashPlace } from '../../src/lib/hash-queue.ts';
import type { PasswordHasher, Verdict } from '../../src/lib/password-hasher.ts';

/** A hasher whose computations end when the test says so. */
class ManualHasher implements PasswordHasher {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  async hash(password: string): Promise<string> {
    this.begun.push(password);
    await new Promise<void>((resolve) => this.#ends.set(password, resolve));
    if (password === 'bad') throw new RangeError('bad');
    return `hash of ${password}`;
  }

  async verify(passwordHash: string, password: string): Promise<boolean> {
    return (await this.hash(password)) === passwordHash;
  }

  async verifyAndRenew(passwordHash: string, password: string): Promise<Verdict> {
    return { isRight: await this.verify(passwordHash, password), renewedHash: null };
  }

  async verifyNothing(password: string): Promise<void> {
    await this.hash(password);
  }

  end(password: string): void {
    this.#ends.get(password)?.();
  }
}

function start({ concurrency = 1, waitingMax = 100, waitMsMax = 60_000 } = {}) {
  let nowMs = 1_000;
  const passMs = (ms: number): void => void (nowMs += ms);
  const queue = new HashQueue({ concurrency, waitingMax, waitMsMax, now: () => nowMs });
  const hasher = new ManualHasher();
  const queued = queue.wrap(hasher);
  const ask = (password: string): { place: HashPlace; result: Promise<string> } => {
    const place = queue.takePlace();
    const result = queued.at(place).hash(password);
    result.catch(() => undefined); // looked at later, if at all
    return { place, result };
  };
  return { queue, hasher, queued, ask, passMs };
}

/** Lets everything happen that only waits for promises. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const isRefusal = (error: unknown): boolean =>
  error instanceof ProblemError &&
  error.definition.code === 'service_unavailable' &&
  /^[1-5]$/.test(error.headers['retry-after'] ?? '');

t.test('A14 so many hashes at once and no more, in the order of arrival', async (t) => {
  const { queue, hasher, ask } = start({ concurrency: 2 });
  const names = ['a', 'b', 'c', 'd', 'e'];
  const asked = names.map((name) => ask(name));
  await settle();
  t.same(hasher.begun, ['a', 'b']);
  t.match(queue.stats, { running: 2, waiting: 3, places: 5 });
  hasher.end('b');
  await settle();
  t.same(hasher.begun, ['a', 'b', 'c']);
  for (const name of names) {
    hasher.end(name);
    await settle();
  }
  t.same(await Promise.all(asked.map(({ result }) => result)), names.map((name) => `hash of ${name}`));
  t.same(hasher.begun, names);
  for (const { place } of asked) place.release();
  t.match(queue.stats, { running: 0, waiting: 0, places: 0, computed: 5, refused: 0, expired: 0, abandoned: 0 });
});

t.test('A14 a place more than there are is refused before anything is computed, and there is one again later', async (t) => {
  const { queue, hasher, ask } = start({ concurrency: 2, waitingMax: 3 });
  const asked = ['a', 'b', 'c', 'd', 'e'].map((name) => ask(name));
  t.throws(() => queue.takePlace());
  for (let at = 0; at < 20; at += 1) {
    let refusal: unknown;
    try {
      queue.assertRoom();
    } catch (error) {
      refusal = error;
    }
    t.ok(isRefusal(refusal), 'with Retry-After in whole seconds');
  }
  t.equal(queue.stats.refused, 21);
  asked[4]?.place.release();
  const later = ask('f');
  t.throws(() => queue.takePlace());
  for (const name of ['a', 'b', 'c', 'd', 'f']) {
    hasher.end(name);
    await settle();
  }
  t.equal(await later.result, 'hash of f');
  t.notOk(hasher.begun.includes('e'));
});

t.test('A14 nobody is let in who would wait longer than allowed', async (t) => {
  const { queue, hasher, ask, passMs } = start({ concurrency: 1, waitMsMax: 250 });
  const first = ask('slow');
  await settle();
  passMs(200);
  hasher.end('slow');
  await first.result;
  first.place.release();
  const running = ask('a');
  ask('b'); // a hash takes 200 ms at the moment: one may wait
  t.throws(() => queue.takePlace(), 'and no second one, which would wait 400 ms');
  await settle();
  hasher.end('a');
  await running.result;
});

t.test('A14 what waits too long all the same is given up, and its turn goes to the next', async (t) => {
  const { queue, hasher, ask } = start({ concurrency: 1, waitMsMax: 50 });
  ask('stuck');
  const late = ask('late');
  await t.rejects(late.result, { name: 'ProblemError' });
  t.match(queue.stats, { running: 1, waiting: 0, expired: 1 });
  const next = ask('next');
  hasher.end('stuck');
  await settle();
  hasher.end('next');
  t.equal(await next.result, 'hash of next');
  t.notOk(hasher.begun.includes('late'));
});

t.test('A14 for a client that has gone nothing is computed', async (t) => {
  const { queue, hasher, queued, ask } = start({ concurrency: 1 });
  const [running, waiting, last] = [ask('running'), ask('waiting'), ask('last')];
  waiting.place.release();
  waiting.place.release();
  await t.rejects(waiting.result);
  running.place.release();
  t.match(queue.stats, { abandoned: 1, running: 1, waiting: 1, places: 1 }, 'one that has begun is finished');
  hasher.end('running');
  t.equal(await running.result, 'hash of running');
  await settle();
  hasher.end('last');
  t.equal(await last.result, 'hash of last');
  await t.rejects(queued.at(waiting.place).verifyNothing('again'), 'nor anything more');
  t.same(hasher.begun, ['running', 'last']);
  t.equal(queue.stats.abandoned, 2);
});

t.test('A14 a hash that fails gives its turn on', async (t) => {
  const { queue, hasher, ask } = start({ concurrency: 1 });
  const [bad, good] = [ask('bad'), ask('good')];
  await settle();
  hasher.end('bad');
  await t.rejects(bad.result, RangeError);
  await settle();
  hasher.end('good');
  t.equal(await good.result, 'hash of good');
  t.match(queue.stats, { running: 0, waiting: 0, computed: 2 });
});

t.test('how long each hash waited is told', async (t) => {
  const { queue, hasher, ask, passMs } = start({ concurrency: 1 });
  const waits: number[] = [];
  queue.onWaited = (seconds) => void waits.push(seconds);
  ask('a');
  const second = ask('b');
  await settle();
  passMs(20);
  hasher.end('a');
  await settle();
  hasher.end('b');
  await second.result;
  t.same(waits, [0, 0.02]);
});
