import type { CloseCode } from '@infrasignal/shared';
import type { Connection, ConnectionOptions } from '../../src/hub/connection.ts';
import { Hub, type HubOptions } from '../../src/hub/hub.ts';
import type { Frame, HubEvent, SocketPort, Variant } from '../../src/hub/ports.ts';
import { TimingWheel } from '../../src/hub/timing-wheel.ts';

/** A socket's far end in memory: what the hub was told to do with it. */
export class RecordingPort implements SocketPort {
  readonly writes: string[][] = [];
  readonly closes: CloseCode[] = [];
  probes = 0;
  isTerminated = false;
  /** Set to make the peer a slow one. */
  unreadBytes = 0;
  /** True: what is written stays unread. */
  isStuck = false;

  get texts(): string[] {
    return this.writes.flat();
  }

  encode(frame: object): Frame {
    return Buffer.from(JSON.stringify(frame));
  }

  write(frames: readonly Frame[]): void {
    this.writes.push(frames.map((frame) => Buffer.from(frame).toString('utf8')));
    if (this.isStuck) for (const frame of frames) this.unreadBytes += frame.byteLength;
  }

  bufferedBytes(): number {
    return this.unreadBytes;
  }

  probe(): void {
    this.probes += 1;
  }

  close(code: CloseCode): void {
    this.closes.push(code);
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

/** A hub whose time and turns of the event loop are the test's to give. */
export class HubWorld {
  readonly hub: Hub;
  readonly wheel: TimingWheel;
  nowMs = 0;
  #tasks: (() => void)[] = [];

  constructor(changes: Partial<HubOptions> = {}) {
    this.wheel = new TimingWheel({ tickMs: 250, slots: 64, nowMs: 0 });
    this.hub = new Hub({
      clock: { now: () => this.nowMs },
      schedule: (task) => this.#tasks.push(task),
      wheel: this.wheel,
      pingIntervalMs: 25_000,
      pongTimeoutMs: 10_000,
      queueBytesMax: 1_000,
      expiryWarningMs: 30_000,
      broadcastLimits: { eventsMax: 5, bytesMax: 1_000 },
      revocationLifeMs: 60_000,
      ...changes,
    });
  }

  /** One turn of the event loop. */
  turn(): void {
    for (const task of this.#tasks.splice(0)) task();
  }

  get hasWork(): boolean {
    return this.#tasks.length > 0;
  }

  pass(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + 250);
      this.wheel.advance(this.nowMs);
    }
  }
}

/** Registers a socket of user 1 that can resume, but for what `changes` say. */
export function openConnection(
  world: HubWorld,
  changes: Partial<ConnectionOptions> = {},
): { port: RecordingPort; connection: Connection } {
  const port = new RecordingPort();
  const connection = world.hub.open({
    audience: { kind: 'user', userId: 1 },
    sessionId: null,
    variant: 'own',
    port,
    isResumable: true,
    expiry: null,
    ...changes,
  });
  return { port, connection };
}

let position = 0;

/** An event that is sent as `<variant> <user>/<seq>`; `made` counts how often each form was made. */
export function event(userId: number, seq: number, bytes = 0): HubEvent & { made: Map<Variant, number> } {
  position += 1;
  const made = new Map<Variant, number>();
  const frames = new Map<Variant, Frame>();
  return {
    userId,
    seq,
    position: { sequence: position, eventId: `event-${position}` },
    committedAtMs: 0,
    bytes,
    endedSessions: [],
    made,
    frame: (variant) => {
      if (!frames.has(variant)) {
        made.set(variant, (made.get(variant) ?? 0) + 1);
        frames.set(variant, Buffer.from(`${variant} ${userId}/${seq}`.padEnd(bytes, '.')));
      }
      return frames.get(variant)!;
    },
  };
}

export const GREETING = Buffer.from('connected');

export function admission(lastSeq: number | null, replay: readonly HubEvent[] = [], seenThrough = 0): {
  greeting: Frame;
  seq: number;
  broadcastSeq: number;
  replay: readonly HubEvent[];
  lastSeq: number | null;
  seenThrough: number;
} {
  return { greeting: GREETING, seq: lastSeq ?? 0, broadcastSeq: 0, replay, lastSeq, seenThrough };
}
