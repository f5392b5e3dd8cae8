import { CsvError, parse, type Info } from 'csv-parse';
import { pipeline, Readable } from 'node:stream';
import { defaultFieldNames, type FieldName, type FieldNames } from '../former-user.ts';
import { refuse } from '../import-reasons.ts';
import { RECORD_LENGTH_MAX, SourceError, type SourceRecord } from './source.ts';

const DELIMITERS = [',', ';', '\t'] as const;

/** The delimiter that the header has most of. Spreadsheets write semicolons where the comma is the decimal point. */
function findDelimiter(head: string): string {
  const [header = ''] = head.split(/[\r\n]/, 1);
  const counts = DELIMITERS.map((delimiter) => header.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ',';
}

/** @throws SourceError naming what is missing, and what there is */
function checkHeader(header: readonly string[], names: FieldNames): void {
  const twice = header.find((name, at) => header.indexOf(name) !== at);
  if (twice !== undefined) throw new SourceError(`the header has the column “${twice}” twice`);
  for (const field of ['phone_number', 'password'] as const satisfies readonly FieldName[]) {
    if (names[field].some((name) => header.includes(name))) continue;
    throw new SourceError(
      `the header has no column ${names[field].join(' or ')}, but: ${header.join(', ')}. ` +
        `The first line names the columns; --map ${field}=<column> says which one it is`,
    );
  }
  for (const [field, candidates] of Object.entries(names)) {
    // What was named on the command line is there, or was mistyped.
    if (candidates === defaultFieldNames[field as FieldName] || candidates.some((name) => header.includes(name))) continue;
    throw new SourceError(`the header has no column ${candidates.join(' or ')}, but: ${header.join(', ')}`);
  }
}

function count(record: readonly string[], what: RegExp): number {
  return record.reduce((sum, field) => sum + (field.match(what)?.length ?? 0), 0);
}

/**
 * The rows of a CSV file (RFC 4180, and what spreadsheets make of it: semicolons, tabs, any line ends), by the names in
 * its header. A quote in the wrong place ends it: where the next line begins can then only be guessed.
 * @throws SourceError
 */
export async function* readCsv(
  text: AsyncIterable<string>,
  { head, names }: { head: string; names: FieldNames },
): AsyncGenerator<SourceRecord, void> {
  const parser = parse({
    delimiter: findDelimiter(head),
    record_delimiter: ['\r\n', '\n', '\r'],
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: RECORD_LENGTH_MAX,
  });
  // What goes wrong on the way destroys the parser with it, and so throws below.
  const rows: AsyncIterable<{ info: Info; record: string[] }> = pipeline(Readable.from(text), parser, () => undefined);
  let header: string[] | null = null;
  // Within quotes the parser counts the two characters of a Windows line break as two lines.
  let surplus = 0;
  try {
    for await (const { info, record } of rows) {
      if (header === null) {
        header = record.map((name) => name.trim());
        checkHeader(header, names);
        continue;
      }
      const place = info.lines - surplus - count(record, /[\r\n]/g);
      surplus += count(record, /\r\n/g);
      const columns = header;
      yield record.length === columns.length
        ? { place, fields: Object.fromEntries(columns.map((name, at) => [name, record[at] ?? ''])) }
        : { place, ...refuse('wrong_columns', `${record.length} instead of ${columns.length}`) };
    }
  } catch (error) {
    throw error instanceof CsvError ? new SourceError(`the file is no well-formed CSV: ${error.message}`) : error;
  }
}
