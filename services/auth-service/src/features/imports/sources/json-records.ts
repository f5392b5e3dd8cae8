import { pipeline, Readable } from 'node:stream';
import { streamArray } from 'stream-json/streamers/stream-array.js';
import type { FieldNames, SourceFields } from '../former-user.ts';
import { refuse } from '../import-reasons.ts';
import { RECORD_LENGTH_MAX, SourceError, type SourceRecord } from './source.ts';

export interface JsonOptions {
  readonly names: FieldNames;
  /** The model whose objects are the users (`accounts.user`); null finds it. */
  readonly model: string | null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Takes the users out of what may hold other models too. A user is either an object with its fields, or what Django's
 * serialisers write: `{"model": "accounts.user", "pk": 1, "fields": {…}}`.
 */
class UserPicker {
  readonly #options: JsonOptions;
  #model: string | null;

  constructor(options: JsonOptions) {
    this.#options = options;
    this.#model = options.model;
  }

  pick(place: number, value: unknown): SourceRecord {
    if (!isObject(value)) return { place, ...refuse('not_a_user') };
    if (typeof value.model !== 'string' || !isObject(value.fields)) return { place, fields: value };
    const { model, pk } = value;
    if (!this.#isUsers(model, value.fields)) return { place, isOther: true };
    // `dumpdata --natural-primary` leaves the key out.
    return { place, fields: pk === undefined ? value.fields : { ...value.fields, pk } };
  }

  #isUsers(model: string, fields: SourceFields): boolean {
    if (this.#options.model !== null) return model.toLowerCase() === this.#options.model.toLowerCase();
    const { names } = this.#options;
    const has = (candidates: readonly string[]): boolean => candidates.some((name) => Object.hasOwn(fields, name));
    if (!has(names.phone_number) || !has(names.password)) return false;
    this.#model ??= model;
    if (this.#model === model) return true;
    throw new SourceError(`two models look like users, ${this.#model} and ${model}: choose with --model`);
  }
}

/** The elements of a JSON array, as `manage.py dumpdata` writes one; never the whole of it at once. @throws SourceError */
export async function* readJsonArray(
  text: AsyncIterable<string>,
  options: JsonOptions,
): AsyncGenerator<SourceRecord, void> {
  const picker = new UserPicker(options);
  const elements: AsyncIterable<{ key: number; value: unknown }> = pipeline(
    Readable.from(text),
    streamArray.withParserAsStream(),
    () => undefined,
  );
  let place = 0;
  try {
    for await (const { value } of elements) {
      place += 1;
      yield picker.pick(place, value);
    }
  } catch (error) {
    if (error instanceof SourceError || !(error instanceof Error) || 'code' in error) throw error;
    throw new SourceError(`the file is no well-formed JSON array, after record ${place}: ${error.message}`);
  }
}

/** The lines of a text, cut to one character more than a line may have. */
async function* readLines(text: AsyncIterable<string>): AsyncGenerator<string, void> {
  let line = '';
  const append = (part: string): void => {
    if (line.length <= RECORD_LENGTH_MAX) line += part.slice(0, RECORD_LENGTH_MAX + 1 - line.length);
  };
  for await (const chunk of text) {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      append(chunk.slice(start, end));
      yield line;
      line = '';
      start = end + 1;
    }
    append(chunk.slice(start));
  }
  if (line !== '') yield line;
}

/** One JSON value a line (JSON Lines, `manage.py dumpdata --format jsonl`). A line that is none is refused alone. */
export async function* readJsonLines(
  text: AsyncIterable<string>,
  options: JsonOptions,
): AsyncGenerator<SourceRecord, void> {
  const picker = new UserPicker(options);
  let place = 0;
  for await (const line of readLines(text)) {
    place += 1;
    if (line.length > RECORD_LENGTH_MAX) yield { place, ...refuse('too_long') };
    else if (line.trim() !== '') yield parseLine(line, place, picker);
  }
}

function parseLine(line: string, place: number, picker: UserPicker): SourceRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { place, ...refuse('not_json') };
  }
  return picker.pick(place, value);
}
