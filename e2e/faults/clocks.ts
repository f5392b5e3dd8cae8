import { createTestDirectory, waitFor, type ServiceProcess, type TestContext } from '@infrasignal/testkit';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const SHIFTED_CLOCK = new URL('preloads/shifted-clock.mjs', import.meta.url);

/** The clocks of the services that have shifted-clock.mjs loaded: each can be off by itself. */
export class Clocks {
  readonly #directory: string;

  constructor(t: TestContext) {
    this.#directory = createTestDirectory(t, 'infrasignal-clocks-');
  }

  /** What the services need to know. */
  get env(): Record<string, string> {
    return { FAULT_CLOCK_DIRECTORY: this.#directory };
  }

  /** From its next start on, or from the next moment on if it runs. */
  set({ port }: Pick<ServiceProcess, 'port'>, shiftMs: number): void {
    const path = join(this.#directory, String(port));
    writeFileSync(`${path}.next`, String(shiftMs));
    renameSync(`${path}.next`, path);
  }

  /** Sets the clock of a service that runs, and returns when it has seen it. */
  async step(process: Pick<ServiceProcess, 'port'>, shiftMs: number): Promise<void> {
    this.set(process, shiftMs);
    const path = join(this.#directory, `${process.port}.seen`);
    const isSeen = (): boolean => readFileSync(path, 'utf8') === String(shiftMs);
    await waitFor(isSeen, { description: `the clock of the service on port ${process.port} to be set` });
  }
}
