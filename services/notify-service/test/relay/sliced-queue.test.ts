/**
 * If this breaks: while a burst of events goes to many sockets, nobody is let in, no ping is answered, and clients take
 * the node for dead.
 */
import t from 'tap';
import { SlicedQueue } from '../../src/relay/sliced-queue.ts';

class Bench {
  readonly handled: number[] = [];
  readonly queue: SlicedQueue<number>;
  nowMs = 0;
  costMs = 2;
  #tasks: (() => void)[] = [];

  constructor(onHandled: (item: number) => void = () => undefined) {
    const schedule = (task: () => void): unknown => this.#tasks.push(task);
    this.queue = new SlicedQueue({ now: () => this.nowMs }, schedule, (item) => {
      this.nowMs += this.costMs;
      this.handled.push(item);
      onHandled(item);
    });
  }

  add(count: number): void {
    for (let at = 0; at < count; at += 1) this.queue.add(at);
  }

  /** One turn of the event loop; how long it took. */
  turn(): number {
    const startMs = this.nowMs;
    for (const task of this.#tasks.splice(0)) task();
    return this.nowMs - startMs;
  }

  get isIdle(): boolean {
    return this.#tasks.length === 0;
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at);
}

t.test('what there is time for is handled at once, the rest in slices, all of it in order', async (t) => {
  const bench = new Bench();
  bench.add(10);
  t.same(bench.handled, [0, 1, 2], 'until 5 ms have passed');
  t.equal(bench.turn(), 6);
  bench.queue.add(10);
  t.same(bench.handled, range(6), 'behind what waits');
  for (let turns = 0; turns < 3; turns += 1) t.ok(bench.turn() <= 6);
  t.same(bench.handled, range(11));
  bench.turn();
  t.ok(bench.isIdle, 'and nothing is left to do');
  bench.queue.add(11);
  t.same(bench.handled, range(12), 'at once again');
});

t.test('what waits is bounded: beyond it the connection waits', async (t) => {
  const bench = new Bench();
  bench.add(1_004);
  t.same(bench.handled, range(1_004));
  bench.turn();
  bench.turn();
  t.ok(bench.isIdle);
});

t.test('what was cleared is not handled, also when handling is what cleared it', async (t) => {
  const bench = new Bench((item) => {
    if (item === 4) bench.queue.clear();
  });
  bench.add(10);
  while (!bench.isIdle) bench.turn();
  t.same(bench.handled, range(5));
  bench.queue.add(99);
  t.same(bench.handled.at(-1), 99);
});
