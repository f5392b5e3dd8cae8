import { fork, type ChildProcess } from 'node:child_process';
import type { TestContext } from '@infrasignal/testkit';

/** What a helper answers an order with, beside what the order is about. */
export interface OrderReport {
  /** Null: it was done. */
  readonly problem: string | null;
}

/** What is ordered takes seconds at most, or it never happens. */
const ANSWER_TIMEOUT_MS = 120_000;

/** A helper in a process of its own that does one order at a time, each answered with one report. */
export class OrderProcess<Order extends { readonly kind: string }, Report extends OrderReport> {
  readonly #child: ChildProcess;
  readonly #name: string;

  /** @param entry its source, which answers `message` with `process.send` and ends with `disconnect` */
  constructor(t: TestContext, name: string, entry: URL) {
    const execArgv = ['--conditions=@infrasignal/source', '--import', 'tsx'];
    this.#name = name;
    this.#child = fork(entry, { execArgv });
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @throws Error when the answer does not come, with how far it got */
  ask(order: Order): Promise<Report> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null, report?: Report): void => {
        clearTimeout(timer);
        this.#child.off('message', listen);
        this.#child.off('exit', fail);
        if (error === null && report !== undefined) resolve(report);
        else reject(error ?? new Error('no report'));
      };
      const listen = (report: Report): void => {
        const { problem } = report;
        settle(problem === null ? null : new Error(`${this.#name}: ${order.kind}: ${problem}`), report);
      };
      const fail = (): void => {
        settle(new Error(`${this.#name}: the process ended`));
      };
      const timer = setTimeout(() => {
        settle(new Error(`${this.#name}: ${order.kind} took more than ${ANSWER_TIMEOUT_MS} ms`));
      }, ANSWER_TIMEOUT_MS);
      this.#child.on('message', listen);
      this.#child.on('exit', fail);
      this.#child.send(order, (error) => {
        if (error !== null) settle(error);
      });
    });
  }
}

/** The other side: does each order and reports it. What `perform` throws is the problem. */
export function obeyOrders<Order, Result extends object>(perform: (order: Order) => Promise<Result>): void {
  process.on('message', (order: Order) => {
    perform(order).then(
      (result) => process.send?.({ ...result, problem: null }),
      (error: unknown) => process.send?.({ problem: String(error) }),
    );
  });
  process.once('disconnect', () => process.exit());
}
