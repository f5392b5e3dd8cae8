import type { TestContext } from '@infrasignal/testkit';
import type { CutOrder } from './cut-proxy-process.ts';
import { OrderProcess, type OrderReport } from './order-process.ts';

/**
 * A TCP proxy in a process of its own, which can be cut: every connection is reset at both ends, and new ones are
 * refused until it is mended.
 */
export class CutProxy {
  readonly #process: OrderProcess<CutOrder, OrderReport & { readonly port: number }>;
  #port = 0;

  private constructor(t: TestContext) {
    this.#process = new OrderProcess(t, 'network', new URL('cut-proxy-process.ts', import.meta.url));
  }

  /** @param target port on 127.0.0.1 */
  static async start(t: TestContext, target: number): Promise<CutProxy> {
    const proxy = new CutProxy(t);
    const { port } = await proxy.#process.ask({ kind: 'listen', targetPort: target });
    proxy.#port = port;
    return proxy;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get port(): number {
    return this.#port;
  }

  async cut(): Promise<void> {
    await this.#process.ask({ kind: 'cut' });
  }

  async mend(): Promise<void> {
    await this.#process.ask({ kind: 'mend' });
  }
}
