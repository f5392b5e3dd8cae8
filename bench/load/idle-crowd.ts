import type { TestContext } from '@infrasignal/testkit';
import type { IdleOrder } from './idle-crowd-process.ts';
import { OrderProcess, type OrderReport } from './order-process.ts';
import type { SocketGoal } from './socket-handshake.ts';

/** Many clients in a process of their own that open sockets and keep them, without a word. */
export class IdleCrowd {
  readonly #process: OrderProcess<IdleOrder, OrderReport & { readonly open: number }>;

  constructor(t: TestContext) {
    this.#process = new OrderProcess(t, 'idle clients', new URL('idle-crowd-process.ts', import.meta.url));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Opens a socket for each list of header lines, and waits until all have what the goal says. */
  async open(goal: Omit<SocketGoal, 'headers'>, headers: readonly (readonly string[])[]): Promise<void> {
    await this.#process.ask({ kind: 'open', goal, headers });
  }

  async close(): Promise<void> {
    await this.#process.ask({ kind: 'close' });
  }

  /** Sockets that neither side has closed. */
  async count(): Promise<number> {
    return (await this.#process.ask({ kind: 'count' })).open;
  }
}
