import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { SourceError } from './source.ts';

/** 64 KiB at once: enough for the disk, and little to hold. */
const CHUNK_BYTES = 64 * 1024;

const LINE_FEED = 0x0a;

/** The file's text, piece by piece, without a byte order mark. @throws SourceError for what is not UTF-8 */
export async function* readText(path: string, onBytes: (count: number) => void): AsyncGenerator<string, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let lines = 1;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    yield decode(decoder, chunk, lines);
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines += 1;
    onBytes(chunk.length);
  }
  yield decode(decoder, null, lines);
}

function decode(decoder: TextDecoder, chunk: Buffer | null, line: number): string {
  try {
    return chunk === null ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    throw new SourceError(
      `the file is not UTF-8 (at line ${line} or soon after): convert it, for instance with iconv -f LATIN1 -t UTF-8`,
    );
  }
}

/** The beginning of the text, for a look at what it is. @throws SourceError when there is no such file, or it is empty */
export async function readHead(path: string): Promise<string> {
  const file = await open(path).catch((error: unknown) => {
    throw new SourceError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  });
  try {
    if (!(await file.stat()).isFile()) throw new SourceError(`${path} is no file: it is read twice, so a pipe will not do`);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, 0);
    // It may end within a character; what is wrong with the bytes is told when they are read.
    const head = new TextDecoder('utf-8').decode(buffer.subarray(0, bytesRead));
    if (head.trim() === '') throw new SourceError(`${path} is empty`);
    return head;
  } finally {
    await file.close();
  }
}
