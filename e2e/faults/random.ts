import { randomInt } from 'node:crypto';

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32: 32 bits of state, enough to choose moments). */
export type Random = () => number;

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of this run: FAULT_SEED to repeat one, else a new one. */
export function chooseSeed(text: string | undefined = process.env.FAULT_SEED): number {
  const seed = Number(text);
  return text !== undefined && text !== '' && Number.isSafeInteger(seed) ? seed : randomInt(2 ** 32);
}

/** One of several, each as likely. */
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError('nothing to choose from');
  return item;
}

/** All of them, in random order. */
export function shuffle<Item>(random: Random, items: readonly Item[]): Item[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}
