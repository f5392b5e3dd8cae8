import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { Timers } from '../lib/timers.ts';

/** Sockets are closed in steps of this length. Longer, and each step is a small storm; shorter only costs timers. */
const STEP_MS = 100;

/** Even a single socket comes back at a moment of its own: other nodes close theirs at the same time. */
const WINDOW_MS_MIN = 1_000;

/** Parts of the grace period: for the answers of the last sockets closed, and for ending everything else. */
const ANSWER_SHARE = 0.3;
const ANSWER_MS_MAX = 3_000;
const END_SHARE = 0.2;
const END_MS_MAX = 1_500;

export interface DrainPlan {
  /** Sockets closed in each step. */
  readonly perStep: number;
  /** Clients come back at a random moment within this time after they were closed. */
  readonly windowMs: number;
  /** After the last was closed, answers are awaited this long. */
  readonly answerMs: number;
}

/**
 * Makes the most of a grace period: the pace that was asked for if it fits, else the slowest that does. What the pace
 * is then too fast by is made up for by the window in which clients come back.
 */
export function planDrain(sockets: number, graceMs: number, socketsPerSecond: number): DrainPlan {
  const answerMs = Math.min(ANSWER_MS_MAX, graceMs * ANSWER_SHARE);
  const closingMs = graceMs - answerMs - Math.min(END_MS_MAX, graceMs * END_SHARE);
  const wantedMs = (sockets / socketsPerSecond) * 1_000;
  const steps = Math.max(1, Math.floor(Math.min(wantedMs, closingMs) / STEP_MS));
  return {
    perStep: Math.max(1, Math.ceil(sockets / steps)),
    windowMs: Math.ceil(WINDOW_MS_MIN + Math.max(0, wantedMs - closingMs)),
    answerMs,
  };
}

/** Sends every connection of a node to the others, at a pace, and ends when all are gone or time is up. */
export async function drain(hub: Hub, plan: DrainPlan, timers: Timers): Promise<void> {
  const farewell = { type: 'reconnect', window_ms: plan.windowMs };
  await new Promise<void>((resolve) => {
    const stop = timers.every(STEP_MS, step);
    step();

    function step(): void {
      for (const connection of chooseNext(hub.connections, plan.perStep)) {
        hub.sendAway(connection, connection.port.encode(farewell));
      }
      if (chooseNext(hub.connections, 1).length > 0) return;
      stop();
      resolve();
    }
  });
  await new Promise<void>((resolve) => {
    const cancel = timers.after(plan.answerMs, resolve);
    void hub.whenEmpty().then(() => {
      cancel();
      resolve();
    });
  });
  hub.terminateAll();
}

/** Those without a cursor last: what happens while they are away is lost to them. */
function chooseNext(connections: ReadonlySet<Connection>, count: number): Connection[] {
  const chosen: Connection[] = [];
  for (const isResumable of [true, false]) {
    for (const connection of connections) {
      if (chosen.length >= count) return chosen;
      if (connection.isOpen && connection.isResumable === isResumable) chosen.push(connection);
    }
  }
  return chosen;
}
