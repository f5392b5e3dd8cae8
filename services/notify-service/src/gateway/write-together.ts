import type { Writable } from 'node:stream';
import type { Frame } from '../hub/ports.ts';

/**
 * Below this, frames due together are copied into one buffer, which costs less than handing each to the kernel by
 * itself; above, copying costs more.
 */
const COPY_BYTES_MAX = 16_384;

/** What is the same for many comes as the same array, one connection after the other: it is joined once. */
let newestFrames: readonly Frame[] = [];
let newestJoined: Frame = Buffer.alloc(0);

function join(frames: readonly Frame[], bytes: number): Frame {
  if (frames !== newestFrames) {
    newestJoined = Buffer.concat(frames, bytes);
    newestFrames = frames;
  }
  return newestJoined;
}

/** Hands frames that are due to one peer together to the kernel together. @param frames never change */
export function writeTogether(stream: Pick<Writable, 'write' | 'cork' | 'uncork'>, frames: readonly Frame[]): void {
  const [first] = frames;
  if (frames.length === 1) {
    stream.write(first);
    return;
  }
  let bytes = 0;
  for (const frame of frames) bytes += frame.byteLength;
  if (bytes <= COPY_BYTES_MAX) {
    stream.write(join(frames, bytes));
    return;
  }
  stream.cork();
  for (const frame of frames) stream.write(frame);
  stream.uncork();
}
