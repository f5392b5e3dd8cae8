import { copyFileSync, existsSync, openSync, readSync, closeSync, renameSync, statSync, truncateSync } from 'node:fs';

// A day of a busy local stack; two files per part are kept.
const LOG_BYTES_MAX = 20 * 1024 * 1024;
const SIZE_CHECK_INTERVAL_MS = 30_000;
const FOLLOW_INTERVAL_MS = 200;
const FOLLOW_CHUNK_BYTES = 256 * 1024;

/** Puts an older log aside as `<name>.1`, so that a log begins with the present run. */
export function rotateLog(path: string): void {
  if (existsSync(path)) renameSync(path, `${path}.1`);
}

/** Keeps logs that other processes append to from filling the disk. Returns what ends it. */
export function boundLogs(
  paths: readonly string[],
  { maxBytes = LOG_BYTES_MAX, intervalMs = SIZE_CHECK_INTERVAL_MS } = {},
): () => void {
  const check = (): void => {
    for (const path of paths) {
      try {
        if (statSync(path).size <= maxBytes) continue;
        copyFileSync(path, `${path}.1`);
        truncateSync(path); // writers append, so they go on at the new end
      } catch {
        // Not there yet, or no space for the copy: the next check tries again.
      }
    }
  };
  const timer = setInterval(check, intervalMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

/** Calls with every new line of a log from now on. Returns what ends it, after a last look. */
export function followLog(path: string, onLine: (line: string) => void): () => void {
  let position = 0;
  let rest = '';
  const read = (): void => {
    // Latin 1 keeps one character per byte until a line is whole.
    const chunk = readFrom(path, position);
    position += chunk.length;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(Buffer.from(line, 'latin1').toString('utf8'));
  };
  const look = (): void => {
    if (existsSync(path) && statSync(path).size < position) position = 0; // truncated
    read();
  };
  const timer = setInterval(look, FOLLOW_INTERVAL_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    look();
  };
}

function readFrom(path: string, position: number): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const buffer = Buffer.alloc(FOLLOW_CHUNK_BYTES);
    const length = readSync(file, buffer, 0, buffer.length, position);
    return buffer.toString('latin1', 0, length);
  } finally {
    closeSync(file);
  }
}
