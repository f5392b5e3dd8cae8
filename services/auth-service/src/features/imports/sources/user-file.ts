import { stat } from 'node:fs/promises';
import type { FieldNames } from '../former-user.ts';
import { readCsv } from './csv-records.ts';
import { readJsonArray, readJsonLines } from './json-records.ts';
import type { SourceFormat, SourceRecord } from './source.ts';
import { readHead, readText } from './text-reader.ts';

export interface UserFileOptions {
  /** Null: what the beginning of the file says. */
  readonly format: SourceFormat | null;
  readonly names: FieldNames;
  /** The model whose objects are the users, of a dump; null finds it. */
  readonly model: string | null;
}

/** A file of users, read as often as asked, never held whole. */
export interface UserFile {
  readonly path: string;
  readonly format: SourceFormat;
  readonly bytes: number;
  /** What `place` of a record counts. */
  readonly placeName: 'line' | 'record';
  /** @param onBytes told how much more was read @throws SourceError when it cannot be read on */
  records(onBytes: (count: number) => void): AsyncIterable<SourceRecord>;
}

function findFormat(head: string): SourceFormat {
  const [first] = head.trimStart();
  if (first === '[') return 'json_array';
  return first === '{' ? 'json_lines' : 'csv';
}

/** @throws SourceError when there is no such file, or nothing in it */
export async function openUserFile(path: string, { format: given, names, model }: UserFileOptions): Promise<UserFile> {
  const head = await readHead(path);
  const format = given ?? findFormat(head);
  const readers = {
    csv: (text: AsyncIterable<string>) => readCsv(text, { head, names }),
    json_lines: (text: AsyncIterable<string>) => readJsonLines(text, { names, model }),
    json_array: (text: AsyncIterable<string>) => readJsonArray(text, { names, model }),
  };
  return {
    path,
    format,
    bytes: (await stat(path)).size,
    placeName: format === 'json_array' ? 'record' : 'line',
    records: (onBytes) => readers[format](readText(path, onBytes)),
  };
}
