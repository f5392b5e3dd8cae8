import type { Writable } from 'node:stream';
import type { Frame } from '../hub/ports.ts';

/**
 * Below this, frames due together are copied into one buffer, which costs less than handing each to the kernel by
 * itself; above, copying costs more.
 */
const COPY_BYTES_MAX = 16_384;

/** Hands frames that are due to one peer together to the kernel together. */
export function writeTogether(stream: Pick<Writable, 'write' | 'cork' | 'uncork'>, frames: readonly Frame[]): void {
  const [first] = frames;
  if (frames.length === 1) {
    stream.write(first);
    return;
  }
  let bytes = 0;
  for (const frame of frames) bytes += frame.byteLength;
  if (bytes <= COPY_BYTES_MAX) {
    stream.write(Buffer.concat(frames, bytes));
    return;
  }
  stream.cork();
  for (const frame of frames) stream.write(frame);
  stream.uncork();
}
