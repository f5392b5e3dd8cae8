import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import type { TestContext } from './test-context.ts';

/** Every network between two parts of the system. `notifyToAuth` carries the published keys. */
export const LINK_NAMES = [
  'authToDatabase',
  'authToBroker',
  'notifyToBroker',
  'notifyToAuth',
  'clientsToAuth',
  'clientsToNotify',
] as const;
export type LinkName = (typeof LINK_NAMES)[number];

export interface StackLinksOptions {
  readonly links?: readonly LinkName[];
  readonly random?: () => number;
}

/**
 * The proxies of a stack: for each link that was asked for, one per instance of the service at its client's end (of the
 * clients: at its server's end), in the order of `auths` and `notifies`; none for the other links.
 */
export class StackLinks implements Readonly<Record<LinkName, readonly FaultProxy[]>> {
  readonly authToDatabase: FaultProxy[] = [];
  readonly authToBroker: FaultProxy[] = [];
  readonly notifyToBroker: FaultProxy[] = [];
  readonly notifyToAuth: FaultProxy[] = [];
  readonly clientsToAuth: FaultProxy[] = [];
  readonly clientsToNotify: FaultProxy[] = [];
  readonly #t: TestContext;
  readonly #options: StackLinksOptions;

  constructor(t: TestContext, options: StackLinksOptions) {
    this.#t = t;
    this.#options = options;
  }

  /** All proxies of all links. */
  get all(): FaultProxy[] {
    return LINK_NAMES.flatMap((name) => this[name]);
  }

  /** @returns the URL that leads to the same server, through a new proxy if this link was asked for */
  async lead(name: LinkName, serverUrl: string): Promise<string> {
    const { links = [], random } = this.#options;
    if (!links.includes(name)) return serverUrl;
    const url = new URL(serverUrl);
    const proxy = await startFaultProxy(this.#t, { port: Number(url.port) }, random === undefined ? {} : { random });
    this[name].push(proxy);
    url.hostname = '127.0.0.1';
    url.port = String(proxy.port);
    return url.href;
  }

  async leadEach(name: LinkName, servers: readonly { readonly url: string }[]): Promise<string[]> {
    const urls: string[] = [];
    for (const { url } of servers) urls.push(await this.lead(name, url));
    return urls;
  }
}
