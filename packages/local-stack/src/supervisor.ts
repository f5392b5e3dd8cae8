import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedProcess } from './managed-process.ts';
import { errorText, StackError } from './stack-error.ts';

/** Something that runs as a child process and can be started again. */
export interface Component {
  name: string;
  /** A part of the child's command line that no other process has. */
  marker: string;
  /** Starts it and resolves when it is ready. The signal asks to give up: end the child, then reject. */
  start(abortSignal: AbortSignal): Promise<ManagedProcess>;
}

export type SupervisorEvent =
  | { kind: 'died'; name: string; how: string; tail: string; restartInMs: number }
  | { kind: 'restarted'; name: string }
  | { kind: 'gave-up'; name: string; error: StackError };

export interface SupervisorOptions {
  onEvent: (event: SupervisorEvent) => void;
  /** Called with every new child process, before it is used, and with null when there is none. */
  onProcess: (child: ManagedProcess | null) => void;
  timing?: SupervisorTiming;
}

export interface SupervisorTiming {
  /** Pause before the first restart; doubles with each failure in a row. */
  firstDelayMs: number;
  maxDelayMs: number;
  /** A child that lived this long was well: failures are counted from zero again. */
  healthyAfterMs: number;
  failuresMax: number;
}

// A crash by chance is repaired before clients have tried twice; one that repeats is tried for about half a minute,
// long enough to survive a full disk being freed, short enough that nobody waits for nothing.
const DEFAULT_TIMING: SupervisorTiming = {
  firstDelayMs: 250,
  maxDelayMs: 8_000,
  healthyAfterMs: 10_000,
  failuresMax: 7,
};

/** Keeps one component running: starts it again when it dies, ever more slowly, and gives up in the end. */
export class Supervisor {
  readonly #component: Component;
  readonly #options: SupervisorOptions;
  readonly #timing: SupervisorTiming;
  readonly #stopping = new AbortController();
  #child: ManagedProcess | null = null;
  #starting: Promise<unknown> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();

  constructor(component: Component, options: SupervisorOptions) {
    this.#component = component;
    this.#options = options;
    this.#timing = options.timing ?? DEFAULT_TIMING;
  }

  get name(): string {
    return this.#component.name;
  }

  /** The first start: a failure is final and thrown, since what is wrong then is wrong for good. */
  async start(): Promise<void> {
    const child = await this.#startOnce();
    this.#watching = this.#watch(child);
  }

  /** Ends the component in order, also in the middle of a restart. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error(`${this.name} is being stopped`));
    await this.#starting.catch(() => undefined); // it may be too far to turn back
    await this.#child?.stop();
    await this.#watching;
    this.#setChild(null);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.#stopping.abort(new Error(`${this.name} is being killed`));
    await this.#child?.kill('SIGKILL');
  }

  async #startOnce(): Promise<ManagedProcess> {
    this.#stopping.signal.throwIfAborted();
    const starting = this.#component.start(this.#stopping.signal).then((child) => {
      this.#setChild(child);
      return child;
    });
    this.#starting = starting;
    return await starting;
  }

  #setChild(child: ManagedProcess | null): void {
    this.#child = child;
    this.#options.onProcess(child);
  }

  async #watch(firstChild: ManagedProcess): Promise<void> {
    let child = firstChild;
    let failures = 0;
    for (;;) {
      const startedAtMs = performance.now();
      const { code, signal } = await child.exited;
      if (this.#stopping.signal.aborted) return;
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      if (performance.now() - startedAtMs >= this.#timing.healthyAfterMs) failures = 0;
      failures += 1;
      const next = await this.#restart(failures, how, child.tail());
      if (next === null) return;
      ({ child, failures } = next);
    }
  }

  /** Tries until the component is ready again. Null when that is not wanted any more or hopeless. */
  async #restart(
    failuresSoFar: number,
    how: string,
    tail: string,
  ): Promise<{ child: ManagedProcess; failures: number } | null> {
    let failures = failuresSoFar;
    let reason = { how, tail };
    for (;;) {
      if (failures > this.#timing.failuresMax) {
        this.#options.onEvent({ kind: 'gave-up', name: this.name, error: gaveUp(this.name, failures, reason.how) });
        return null;
      }
      const { firstDelayMs, maxDelayMs } = this.#timing;
      const restartInMs = Math.min(maxDelayMs, firstDelayMs * 2 ** (failures - 1));
      this.#options.onEvent({ kind: 'died', name: this.name, ...reason, restartInMs });
      try {
        await sleep(restartInMs, undefined, { signal: this.#stopping.signal });
        const child = await this.#startOnce();
        this.#options.onEvent({ kind: 'restarted', name: this.name });
        return { child, failures };
      } catch (error) {
        if (this.#stopping.signal.aborted) return null;
        failures += 1;
        reason = { how: 'while it was starting', tail: errorText(error) };
      }
    }
  }
}

function gaveUp(name: string, failures: number, how: string): StackError {
  return new StackError(
    `${name} has ended ${failures} times in a row, last ${how}`,
    'Its log (above) says why. If its data is damaged, `npm run reset` starts afresh.',
  );
}
