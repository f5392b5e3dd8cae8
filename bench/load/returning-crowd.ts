import type { TestContext } from '@infrasignal/testkit';
import { OrderProcess, type OrderReport } from './order-process.ts';
import type { CrowdState, ReturningOrder } from './returning-crowd-process.ts';

type CrowdReport = OrderReport & { readonly state?: CrowdState; readonly away?: number };

/** Many clients of `infrasignal.v1` in a process of their own, which come back by the rules whenever they are cut off. */
export class ReturningCrowd {
  readonly #process: OrderProcess<ReturningOrder, CrowdReport>;

  constructor(t: TestContext) {
    this.#process = new OrderProcess(t, 'clients', new URL('returning-crowd-process.ts', import.meta.url));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Waits until all are connected. @param tokens one for each client */
  async connect(port: number, tokens: readonly string[]): Promise<void> {
    await this.#process.ask({ kind: 'connect', port, tokens });
  }

  /** Clients that are not connected. */
  async countAway(): Promise<number> {
    return (await this.#process.ask({ kind: 'count-away' })).away ?? NaN;
  }

  async look(): Promise<CrowdState> {
    const { state } = await this.#process.ask({ kind: 'look' });
    if (state === undefined) throw new Error('the clients do not say how they are');
    return state;
  }

  /** What is counted and timed begins anew; who has what does not. */
  async forget(): Promise<void> {
    await this.#process.ask({ kind: 'forget' });
  }
}
