/** Shorter asks more often than anything changes; longer sends that much more to an instance that is gone. */
const CHECK_INTERVAL_MS = 250;

/** An instance that does not say within this time that it is ready is passed over. */
const CHECK_TIMEOUT_MS = 1_000;

/**
 * The instances of one service: each in turn, but for those that do not say that they are ready. Where there is one, it
 * is asked nothing, and gets everything.
 */
export class UpstreamPool {
  readonly #urls: readonly string[];
  readonly #unready = new Set<string>();
  readonly #timer: NodeJS.Timeout | null = null;
  #next = 0;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
    if (urls.length > 1) this.#timer = setInterval(() => this.#checkAll(), CHECK_INTERVAL_MS).unref();
  }

  /** Where the next request goes. With none ready any is as good: it answers itself, or is said to be away. */
  pick(): string {
    const ready = this.#urls.filter((url) => !this.#unready.has(url));
    const choice = ready.length === 0 ? this.#urls : ready;
    this.#next += 1;
    return choice[this.#next % choice.length] ?? '';
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #checkAll(): void {
    for (const url of this.#urls) void this.#check(url);
  }

  async #check(url: string): Promise<void> {
    const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
    const isReady = await fetch(`${url}/readyz`, { signal }).then(
      async (response) => (await response.arrayBuffer(), response.ok),
      () => false,
    );
    if (isReady) this.#unready.delete(url);
    else this.#unready.add(url);
  }
}
