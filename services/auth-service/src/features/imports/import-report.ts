import { createWriteStream, type WriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import {
  noteReasons,
  refusalReasons,
  skipReasons,
  type NoteReason,
  type RefusalReason,
  type SkipReason,
} from './import-reasons.ts';

const explanations = { ...refusalReasons, ...skipReasons, ...noteReasons };

export interface ReportEntry {
  readonly place: number;
  readonly formerId: string | null;
  readonly outcome: 'refused' | 'skipped' | 'imported';
  readonly reason: RefusalReason | SkipReason | NoteReason;
  readonly detail?: string;
}

/** RFC 4180; nothing in here begins like a formula, because every text is ours but the id, which is quoted. */
function toCsv(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;
}

/**
 * What was not imported as it stands, as CSV: the place in the file and the former id tell which user, the reason why.
 * No number, no address and no hash, so that it can be sent around.
 */
export class ImportReport {
  readonly path: string;
  count = 0;
  readonly #stream: WriteStream;

  private constructor(path: string, stream: WriteStream) {
    this.path = path;
    this.#stream = stream;
  }

  /** Writes over what a run before has left there. @throws the file system's error */
  static async create(path: string, placeName: string): Promise<ImportReport> {
    const stream = createWriteStream(path, { mode: 0o600 });
    await once(stream, 'open');
    // Told when it is closed; a full disk must not end the process in between.
    stream.on('error', () => undefined);
    stream.write(toCsv([placeName, 'id', 'outcome', 'reason', 'detail', 'explanation']));
    return new ImportReport(path, stream);
  }

  async add({ place, formerId, outcome, reason, detail = '' }: ReportEntry): Promise<void> {
    this.count += 1;
    const line = toCsv([String(place), formerId ?? '', outcome, reason, detail, explanations[reason]]);
    if (!this.#stream.write(line) && !this.#stream.errored) await once(this.#stream, 'drain');
  }

  /** @throws the file system's error when not everything could be written */
  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream);
  }
}
