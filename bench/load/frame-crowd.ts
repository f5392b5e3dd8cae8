import { fork, type ChildProcess } from 'node:child_process';
import type { TestContext } from '@infrasignal/testkit';
import type { CrowdGoal, CrowdOrder, CrowdReport } from './frame-crowd-process.ts';

/** What a crowd is asked for takes seconds at most, or it never happens. */
const ANSWER_TIMEOUT_MS = 120_000;

/** How clients come in, wherever. */
export type CrowdEntry = Omit<CrowdGoal, 'port'>;

/** A WebSocket that needs nothing but the upgrade. */
export const UPGRADED: CrowdEntry = { until: '\r\n\r\n' };

/** Many WebSocket clients in a process of their own, which only count the frames that they are sent. */
export class FrameCrowd {
  readonly #child: ChildProcess;

  constructor(t: TestContext) {
    const execArgv = ['--conditions=@infrasignal/source', '--import', 'tsx'];
    this.#child = fork(new URL('frame-crowd-process.ts', import.meta.url), { execArgv });
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Opens a socket for each list of header lines and waits until all are in; frames count from there on. */
  async connect(port: number, headers: readonly (readonly string[])[], entry: CrowdEntry = UPGRADED): Promise<void> {
    await this.#ask({ kind: 'connect', goal: { ...entry, port }, headers });
  }

  /** Closes all sockets; the count starts anew. */
  async disconnect(): Promise<void> {
    await this.#ask({ kind: 'disconnect' });
  }

  /** Waits until the clients together have been sent so many frames. @returns the bytes that they came in */
  async countTo(frames: number): Promise<number> {
    const { bytes } = await this.#ask({ kind: 'count', frames });
    return bytes;
  }

  /** @throws Error when the answer does not come, with how far it got */
  #ask(order: CrowdOrder): Promise<CrowdReport> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null, report?: CrowdReport): void => {
        clearTimeout(timer);
        this.#child.off('message', listen);
        this.#child.off('exit', fail);
        if (error === null && report !== undefined) resolve(report);
        else reject(error ?? new Error('no report'));
      };
      const listen = (report: CrowdReport): void => {
        settle(report.problem === null ? null : new Error(`clients of ${order.kind}: ${report.problem}`), report);
      };
      const fail = (): void => {
        settle(new Error('the process of the clients ended'));
      };
      const timer = setTimeout(() => {
        settle(new Error(`clients: ${order.kind} took more than ${ANSWER_TIMEOUT_MS} ms`));
      }, ANSWER_TIMEOUT_MS);
      this.#child.on('message', listen);
      this.#child.on('exit', fail);
      this.#child.send(order);
    });
  }
}
