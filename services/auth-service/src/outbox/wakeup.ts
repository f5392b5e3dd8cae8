/** A wait that a signal ends early. A signal given while nobody waits ends the next wait at once. */
export class Wakeup {
  #isSignalled = false;
  #resolve: (() => void) | null = null;

  wake(): void {
    if (this.#resolve === null) this.#isSignalled = true;
    else this.#resolve();
  }

  /** Resolves at the next signal, or after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.#isSignalled) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#resolve = () => (clearTimeout(timer), resolve());
      });
      this.#resolve = null;
    }
    this.#isSignalled = false;
  }

  /** Waits the whole time: a back-off that every signal cut short would be none. */
  async pause(durationMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, durationMs));
  }
}
