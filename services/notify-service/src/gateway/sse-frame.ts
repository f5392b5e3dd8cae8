import { eventStreamName } from '@infrasignal/shared';
import type { Frame } from '../hub/ports.ts';

/**
 * A comment (WHATWG HTML section 9.2.6): says nothing to the client, and keeps a proxy from taking the connection for
 * idle.
 */
export const HEARTBEAT: Frame = Buffer.from(':\n\n');

/** What a frame can hold that has a meaning beyond its data. */
interface FrameMembers {
  readonly type?: unknown;
  readonly cursor?: unknown;
  readonly window_ms?: unknown;
}

/** How long the client's own reconnection waits, in milliseconds. */
export function encodeRetry(waitMs: number): string {
  return `retry: ${Math.floor(waitMs)}\n`;
}

/**
 * A frame as one server-sent event: `event:` names its kind, `data:` is the frame as JSON, `id:` its cursor, which a
 * client gives back as `Last-Event-ID`. JSON has no line break of its own, so the data is one line whatever it says;
 * neither has a cursor.
 */
export function encodeSseFrame(frame: object): Frame {
  const { type, cursor, window_ms: windowMs } = frame as FrameMembers;
  const id = typeof cursor === 'string' ? `id: ${cursor}\n` : '';
  // A client that reconnects by itself knows no window: each is given its own moment in it.
  const retry = typeof windowMs === 'number' ? encodeRetry(Math.random() * windowMs) : '';
  return Buffer.from(`event: ${eventStreamName(String(type))}\n${retry}${id}data: ${JSON.stringify(frame)}\n\n`);
}

const END = Buffer.from('\n\n');

/**
 * The same for a notification whose cursor is each client's own, while everything else is serialised once.
 * @param rest the other members as JSON, without the brace that opens the object
 */
export function encodeJoinedSseFrame(cursor: string, rest: Uint8Array): Frame {
  return Buffer.concat([Buffer.from(`event: notification\nid: ${cursor}\ndata: {"cursor":"${cursor}",`), rest, END]);
}
