/**
 * If this breaks: after a restart the broker is asked for the same thing by every client at once, or one client with
 * much to catch up keeps all others waiting.
 */
import t from 'tap';
import { createReadStats } from '../../src/relay/read-stats.ts';
import { ReadRefusedError, SharedReads, type SharedReadsLimits } from '../../src/relay/shared-reads.ts';

/** Reads that are answered when the test says so. */
class Desk {
  readonly stats = createReadStats();
  readonly reads: SharedReads;
  readonly started: string[] = [];
  readonly answers = new Map<string, { resolve(value: string): void; reject(error: Error): void }>();
  nowMs = 0;

  constructor(changes: Partial<SharedReadsLimits> = {}) {
    const limits = { inFlightMax: 2, inFlightPerClientMax: 1, waitingMax: 100, waitMsMax: 1_000, ...changes };
    this.reads = new SharedReads(limits, { now: () => this.nowMs }, this.stats);
  }

  ask(client: number, key: string): Promise<string> {
    return this.reads.ask(client, key, () => {
      this.started.push(key);
      return new Promise<string>((resolve, reject) => this.answers.set(key, { resolve, reject }));
    });
  }

  /** Answers a read, and lets those that wait go on. */
  async answer(key: string): Promise<void> {
    this.answers.get(key)!.resolve(`answer to ${key}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test('R4 the same read is made once for all who want it at the same time', async (t) => {
  const desk = new Desk();
  const asked = [1, 2, 3, 1].map((client) => desk.ask(client, 'a'));
  t.same(desk.started, ['a']);
  await desk.answer('a');
  t.same(await Promise.all(asked), Array<string>(4).fill('answer to a'));
  t.equal(desk.stats.merged, 3);
  const later = desk.ask(1, 'a');
  t.same(desk.started, ['a', 'a'], 'an answer that was given is not given again');
  await desk.answer('a');
  await later;
  t.same([desk.reads.inFlight, desk.reads.waiting], [0, 0]);
});

t.test('R4 turns are taken by client, however much one of them wants', async (t) => {
  const desk = new Desk({ inFlightMax: 1 });
  const all = [];
  for (let at = 0; at < 50; at += 1) all.push(desk.ask(1, `long ${at}`));
  all.push(desk.ask(2, 'short'), desk.ask(3, 'other'));
  for (const key of ['long 0', 'short', 'other', 'long 1', 'long 2']) {
    t.equal(desk.started.at(-1), key);
    await desk.answer(key);
  }
  const late = desk.ask(2, 'late');
  await desk.answer('long 3');
  t.equal(desk.started.at(-1), 'late');
  await desk.answer('late');
  for (let at = 4; at < 50; at += 1) await desk.answer(`long ${at}`);
  await Promise.all([...all, late]);
});

t.test('R4 no more at once than allowed, in all and for one client', async (t) => {
  const desk = new Desk({ inFlightMax: 3, inFlightPerClientMax: 2 });
  const all = ['a', 'b', 'c', 'd'].map((key) => desk.ask(1, key));
  t.same(desk.started, ['a', 'b'], 'one client');
  all.push(desk.ask(2, 'e'), desk.ask(3, 'f'));
  t.same(desk.started, ['a', 'b', 'e'], 'in all');
  t.same([desk.reads.inFlight, desk.reads.waiting], [3, 3]);
  await desk.answer('b');
  t.equal(desk.started.at(-1), 'f');
  for (const key of ['a', 'e', 'f', 'c', 'd']) await desk.answer(key);
  await Promise.all(all);
});

t.test('R4 a read that several wait for is made at the first of their turns', async (t) => {
  const desk = new Desk({ inFlightMax: 1 });
  const all = ['a', 'b', 'c', 'shared'].map((key) => desk.ask(1, key));
  all.push(desk.ask(2, 'shared'));
  await desk.answer('a');
  t.same(desk.started, ['a', 'shared'], 'not behind what else the first one wanted');
  for (const key of ['shared', 'b', 'c']) await desk.answer(key);
  t.same(desk.started, ['a', 'shared', 'b', 'c'], 'and not once more');
  await Promise.all(all);
  t.same([desk.reads.inFlight, desk.reads.waiting], [0, 0]);
});

t.test('R4 an error goes to all who asked, and nothing stops', async (t) => {
  const desk = new Desk({ inFlightMax: 1 });
  const failing = [desk.ask(1, 'a'), desk.ask(2, 'a')].map((answer) => t.rejects(answer, { message: 'lost' }));
  const next = desk.ask(1, 'b');
  desk.answers.get('a')!.reject(new Error('lost'));
  await Promise.all(failing);
  await new Promise((resolve) => setImmediate(resolve));
  await desk.answer('b');
  t.equal(await next, 'answer to b');
});

t.test('R4 too many waiting, or one for too long: refused, and counted', async (t) => {
  const desk = new Desk({ inFlightMax: 1, waitingMax: 2 });
  const first = desk.ask(1, 'a');
  const waiting = [desk.ask(1, 'b'), desk.ask(2, 'c')];
  await t.rejects(desk.ask(3, 'd'), ReadRefusedError);
  const merged = desk.ask(3, 'b');
  desk.nowMs = 1_001;
  const refused = [...waiting, merged].map((answer) => t.rejects(answer, ReadRefusedError));
  await desk.answer('a');
  await Promise.all([first, ...refused]);
  t.same(desk.started, ['a']);
  t.equal(desk.stats.refused, 3);
  const again = desk.ask(1, 'b');
  await desk.answer('b');
  t.equal(await again, 'answer to b', 'and then it goes on');
});
