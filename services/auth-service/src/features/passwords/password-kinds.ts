import type { RenewingHasher } from '../../lib/password-hasher.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { findHashOfEachKind } from './password-kinds-repository.ts';

export interface PasswordKindsOptions {
  readonly db: Database;
  readonly hasher: Pick<RenewingHasher, 'setHashesInUse'>;
  readonly onError: (error: unknown) => void;
}

/**
 * How often an instance looks which kinds of hashes there are. For so long after an import the imported accounts could
 * be told from others by the time of a refusal; the look is a fraction of a millisecond.
 */
const RELOAD_INTERVAL_MS = 5_000;

/** Keeps the hasher told of the kinds of hashes that accounts have, so that every refusal takes the same work. */
export class PasswordKinds {
  readonly #options: PasswordKindsOptions;
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: PasswordKindsOptions) {
    this.#options = options;
  }

  /** Tells the hasher once, so that the first refusal is like all others. */
  static async load(options: PasswordKindsOptions): Promise<PasswordKinds> {
    const kinds = new PasswordKinds(options);
    await kinds.reload();
    return kinds;
  }

  /** Follows imports, and the end of old kinds, until `stop`. */
  start(): void {
    this.#timer = setInterval(() => void this.reload().catch(this.#options.onError), RELOAD_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async reload(): Promise<void> {
    const { db, hasher } = this.#options;
    hasher.setHashesInUse(await findHashOfEachKind(db));
  }
}
