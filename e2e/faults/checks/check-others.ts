/** I5 for those whom the fault was not meant for. */
import type { ClientRecord } from '@infrasignal/testkit';
import { formatTime, type Violation } from './evidence.ts';

/** Nobody was cut off: each client has the connection that it began with. */
export function* checkSocketsKept(clients: readonly ClientRecord[]): Generator<Violation> {
  for (const { name, connections } of clients) {
    const { length } = connections;
    if (length !== 1) yield { invariant: 'I5', text: `${name} had to connect ${length} times` };
  }
}

/** Nobody was kept waiting: each event was received within so long of its commit. */
export function* checkDeliveryTimes(clients: readonly ClientRecord[], limitMs: number): Generator<Violation> {
  for (const client of clients) {
    for (const [at, ms] of deliveryTimes(client)) {
      if (ms <= limitMs) continue;
      yield { invariant: 'I5', text: `${client.name} received at ${formatTime(at)} what is ${Math.round(ms)} ms old` };
    }
  }
}

/** The longest that anything took from its commit to one of these clients. */
export function findSlowestMs(clients: readonly ClientRecord[]): number {
  let slowest = 0;
  for (const client of clients) for (const [, ms] of deliveryTimes(client)) slowest = Math.max(slowest, ms);
  return slowest;
}

/** For each notification of a client: when it was received, and how long after its commit. */
function* deliveryTimes({ connections }: ClientRecord): Generator<readonly [at: number, ms: number]> {
  for (const { frames } of connections) {
    for (const { at, body } of frames) if (typeof body.time === 'string') yield [at, at - Date.parse(body.time)];
  }
}
