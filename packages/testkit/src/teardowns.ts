import type { TestContext } from './test-context.ts';

/** What a test framework does for a test, for programs that are none: ends in reverse order everything that was started. */
export class Teardowns implements TestContext {
  #handlers: (() => unknown)[] = [];

  teardown(handler: () => unknown): void {
    this.#handlers.push(handler);
  }

  /** Runs all of them, also when one fails. @throws the first failure */
  async run(): Promise<void> {
    const handlers = this.#handlers.reverse();
    this.#handlers = [];
    const failures: unknown[] = [];
    for (const handler of handlers) {
      try {
        await handler();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
