import { classifyPasswordHash } from './classify-password-hash.ts';
import type { Work } from './stored-hash.ts';

/**
 * The same work for every refusal, so that its time does not tell whether there is an account, nor how old its hash is.
 *
 * It is one check of every kind of hash in use; of a kind whose amounts add up (rounds), as much as the costliest asks
 * for. A login that checked a real hash owes the rest, one without an account all of it. Nothing is measured or waited
 * for: equal computations take equal time on any machine under any load, and a pause instead of them would be short
 * just when the machine is busy.
 */
export class RefusalWork {
  readonly #own: Work;
  #inUse: ReadonlyMap<string, Work>;

  /** @param own what a check of our current hash costs; it is part of every refusal */
  constructor(own: Work) {
    this.#own = own;
    this.#inUse = new Map([[own.kind.name, own]]);
  }

  /** Names the kinds in use anew, by one hash or more of each; those that nobody can log in with cost nothing. */
  setInUse(passwordHashes: readonly string[]): void {
    const inUse = new Map([[this.#own.kind.name, this.#own]]);
    for (const passwordHash of passwordHashes) {
      const read = classifyPasswordHash(passwordHash);
      if (read.isSupported) raise(inUse, read.hash.work);
    }
    this.#inUse = inUse;
  }

  /** True while other kinds are in use than ours: refusals are then the same work, but not in the same order. */
  get isMixed(): boolean {
    return this.#inUse.size > 1;
  }

  /** What a refusal owes after this work. A kind that was not known to be in use is from now on. */
  remainderAfter(done: Work | null): Work[] {
    if (done !== null && (this.#inUse.get(done.kind.name)?.amount ?? 0) < done.amount) {
      const inUse = new Map(this.#inUse);
      raise(inUse, done);
      this.#inUse = inUse;
    }
    return [...this.#inUse.values()].flatMap(({ kind, amount }) => {
      const owed = kind.name === done?.kind.name ? amount - done.amount : amount;
      return owed > 0 ? [{ kind, amount: owed }] : [];
    });
  }
}

function raise(inUse: Map<string, Work>, work: Work): void {
  if ((inUse.get(work.kind.name)?.amount ?? 0) < work.amount) inUse.set(work.kind.name, work);
}
