/** A network that can be cut, in front of a server. Forked by cut-proxy.ts. */
import { startFaultProxy, Teardowns, type FaultProxy } from '@infrasignal/testkit';
import { obeyOrders } from './order-process.ts';

export type CutOrder =
  | { readonly kind: 'listen'; readonly targetPort: number }
  | { readonly kind: 'cut' }
  | { readonly kind: 'mend' };

let proxy: FaultProxy | null = null;

obeyOrders(async (order: CutOrder) => {
  // Its connections end with the process.
  if (order.kind === 'listen') proxy = await startFaultProxy(new Teardowns(), { port: order.targetPort });
  if (order.kind === 'cut') proxy?.refuse();
  if (order.kind === 'mend') await proxy?.listen();
  return { port: proxy?.port ?? 0 };
});
