/** Clients that open a socket each and then say nothing. Forked by idle-crowd.ts. */
import type { Socket } from 'node:net';
import { obeyOrders } from './order-process.ts';
import { openRawSocket, type SocketGoal } from './socket-handshake.ts';

export type IdleOrder =
  | { readonly kind: 'open'; readonly goal: Omit<SocketGoal, 'headers'>; readonly headers: readonly (readonly string[])[] }
  | { readonly kind: 'close' }
  | { readonly kind: 'count' };

/** Handshakes on the way at once. */
const CONNECTING_AT_ONCE = 64;

const sockets = new Set<Socket>();

async function open(goal: SocketGoal): Promise<void> {
  const { socket } = await openRawSocket(goal);
  socket.resume();
  socket.on('close', () => sockets.delete(socket));
  sockets.add(socket);
}

async function openAll({ goal, headers }: Extract<IdleOrder, { kind: 'open' }>): Promise<void> {
  const left = [...headers];
  const work = async (): Promise<void> => {
    for (let own = left.pop(); own !== undefined; own = left.pop()) await open({ ...goal, headers: own });
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, work));
}

obeyOrders(async (order: IdleOrder) => {
  if (order.kind === 'open') await openAll(order);
  if (order.kind === 'close') for (const socket of sockets) socket.destroy();
  return { open: sockets.size };
});
