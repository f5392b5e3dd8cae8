import type { Writable } from 'node:stream';
import type { StackReporter } from './stack.ts';
import type { SupervisorEvent } from './supervisor.ts';
import { StackError } from './stack-error.ts';

export interface TerminalOptions {
  output: Writable & { isTTY?: boolean; columns?: number };
  /** No colours although it is a terminal (https://no-color.org). */
  noColor: boolean;
}

const CLEAR_LINE = '\r\x1b[K';

/**
 * Shows what the stack is doing. On a terminal the last line always names the steps under way; in a file or a pipe
 * each step is a line when it begins and a line when it is done, without control characters.
 */
export class TerminalReport implements StackReporter {
  readonly #options: TerminalOptions;
  readonly #isTerminal: boolean;
  readonly #running = new Set<string>();

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.#isTerminal = options.output.isTTY === true;
  }

  async step<T>(title: string, work: () => Promise<T>, describe?: (result: T) => string): Promise<T> {
    const startedAt = performance.now();
    this.#running.add(title);
    if (!this.#isTerminal) this.print(`  ${title} …`);
    this.#showStatus();
    try {
      const result = await work();
      this.#running.delete(title);
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      const text = describe?.(result) ?? title;
      this.print(`  ${this.paint('green', 'ok')}  ${text} ${this.paint('dim', `(${seconds} s)`)}`);
      return result;
    } catch (error) {
      this.#running.delete(title);
      this.print(`  ${this.paint('red', '!!')}  ${title}`);
      throw error;
    }
  }

  note(line: string): void {
    this.print(`      ${line}`);
  }

  warn(line: string): void {
    this.print(`  ${this.paint('yellow', '!!')}  ${line}`);
  }

  event(event: SupervisorEvent): void {
    switch (event.kind) {
      case 'died': {
        const seconds = (event.restartInMs / 1000).toFixed(1);
        this.warn(`${event.name} ended ${event.how}; starting it again in ${seconds} s. Its last words:`);
        for (const line of event.tail.split('\n')) this.print(`      ${this.paint('dim', `${event.name} |`)} ${line}`);
        break;
      }
      case 'restarted':
        this.print(`  ${this.paint('green', 'ok')}  ${event.name} is back`);
        break;
      case 'gave-up':
        this.warn(`${event.name}: giving up`);
        break;
    }
  }

  /** Prints a failure: what happened, and what to do about it. */
  failure(error: unknown): void {
    this.print('');
    if (error instanceof StackError) {
      this.print(`${this.paint('red', 'Cause:')} ${error.message}`);
      this.print(`${this.paint('green', 'Cure:')}  ${error.cure}`);
    } else {
      this.print(`${this.paint('red', 'Unexpected failure:')} ${error instanceof Error ? error.stack : String(error)}`);
    }
  }

  /** One line (or several) above the status line. */
  print(text: string): void {
    const { output } = this.#options;
    output.write(`${this.#isTerminal ? CLEAR_LINE : ''}${text}\n`);
    this.#showStatus();
  }

  paint(colour: keyof typeof COLOURS, text: string): string {
    if (!this.#isTerminal || this.#options.noColor) return text;
    return `\x1b[${COLOURS[colour]}m${text}\x1b[0m`;
  }

  #showStatus(): void {
    if (!this.#isTerminal) return;
    const { output } = this.#options;
    const status = this.#running.size === 0 ? '' : `  …   ${[...this.#running].join(', ')}`;
    const columns = output.columns ?? 0; // 0: a terminal that does not know its width
    output.write(CLEAR_LINE + status.slice(0, (columns === 0 ? 80 : columns) - 1));
  }
}

const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
