import type { CountryCode } from 'libphonenumber-js/max';
import { readFormerUser, type FieldNames, type FormerUser, type RefusedUser } from './former-user.ts';
import type { UserFile } from './sources/user-file.ts';

/**
 * The largest id that is taken over, a million millions: no table is that full, and one mistyped id must not use up
 * what the ids of later accounts, which JSON can only carry up to 2^53, have left.
 */
export const USER_ID_MAX = 1_000_000_000_000;

/** A user's former id as an id here; null when it cannot be one. */
export function toUserId(formerId: string): number | null {
  const id = /^[1-9]\d{0,12}$/.test(formerId) ? Number(formerId) : NaN;
  return id <= USER_ID_MAX ? id : null;
}

/** Which values occur more than once, and where. Keys are kept as small as they can be: there is one per user. */
class Occurrences<Key extends string | number> {
  readonly #first = new Map<Key, number>();
  readonly #repeated = new Map<Key, number[]>();

  add(key: Key, place: number): void {
    const first = this.#first.get(key);
    if (first === undefined) {
      this.#first.set(key, place);
      return;
    }
    const places = this.#repeated.get(key);
    if (places === undefined) this.#repeated.set(key, [first, place]);
    else places.push(place);
  }

  /** Every place of a value that has more than one; null for a value that has one. */
  findPlaces(key: Key): readonly number[] | null {
    return this.#repeated.get(key) ?? null;
  }
}

export interface RefusedRecord extends RefusedUser {
  readonly place: number;
}

/** What becomes of one entry of the file, as far as the file says. */
export type SurveyedRecord =
  | { readonly place: number; readonly user: FormerUser; readonly isEmailUnique: boolean }
  | RefusedRecord;

export interface SurveyOptions {
  readonly names: FieldNames;
  readonly region: CountryCode;
  /** Told what was read, and how many entries that was. */
  readonly onProgress: (bytesRead: number, records: number) => void;
}

/** Entries after which the progress is told. */
const PROGRESS_RECORDS = 500;

/** So many places of a repeated value are named; more help nobody. */
const NAMED_PLACES_MAX = 5;

/**
 * Reads the file twice. The first reading finds what only the whole can show: that it can be read to its end, which
 * numbers, ids and addresses occur more than once, and the largest id. The second gives out the users.
 */
export class FileSurvey {
  /** Users, good and bad. */
  records = 0;
  /** Entries of other models, of a dump. */
  others = 0;
  largestId = 0;
  readonly #file: UserFile;
  readonly #options: SurveyOptions;
  readonly #numbers = new Occurrences<number>();
  readonly #ids = new Occurrences<string | number>();
  readonly #emails = new Occurrences<string>();

  private constructor(file: UserFile, options: SurveyOptions) {
    this.#file = file;
    this.#options = options;
  }

  /** @throws SourceError when the file as a whole cannot be read */
  static async of(file: UserFile, options: SurveyOptions): Promise<FileSurvey> {
    const survey = new FileSurvey(file, options);
    for await (const record of survey.#read()) {
      survey.records += 1;
      if ('refusal' in record) continue;
      const { place, user } = record;
      survey.#numbers.add(Number(user.phoneNumberE164), place);
      if (user.email !== null) survey.#emails.add(user.email, place);
      if (user.formerId === null) continue;
      const id = toUserId(user.formerId);
      survey.#ids.add(id ?? user.formerId, place);
      survey.largestId = Math.max(survey.largestId, id ?? 0);
    }
    return survey;
  }

  /** Every user of the file in its order; those that stand in each other's way are all refused. */
  async *users(): AsyncGenerator<SurveyedRecord, void> {
    for await (const record of this.#read()) {
      yield 'refusal' in record ? record : this.#judge(record.place, record.user);
    }
  }

  #judge(place: number, user: FormerUser): SurveyedRecord {
    const { formerId, email } = user;
    const sameNumber = this.#numbers.findPlaces(Number(user.phoneNumberE164));
    if (sameNumber !== null) {
      return { place, formerId, refusal: { reason: 'duplicate_phone_number', detail: this.#name(sameNumber) } };
    }
    const sameId = formerId === null ? null : this.#ids.findPlaces(toUserId(formerId) ?? formerId);
    if (sameId !== null) return { place, formerId, refusal: { reason: 'duplicate_id', detail: this.#name(sameId) } };
    return { place, user, isEmailUnique: email === null || this.#emails.findPlaces(email) === null };
  }

  /** For instance `lines 12, 40 and 3 more`. */
  #name(places: readonly number[]): string {
    const named = places.slice(0, NAMED_PLACES_MAX).join(', ');
    const rest = places.length - NAMED_PLACES_MAX;
    return `${this.#file.placeName}s ${named}${rest > 0 ? ` and ${rest} more` : ''}`;
  }

  async *#read(): AsyncGenerator<{ readonly place: number; readonly user: FormerUser } | RefusedRecord, void> {
    const { names, region, onProgress } = this.#options;
    let bytesRead = 0;
    let records = 0;
    this.others = 0;
    for await (const record of this.#file.records((count) => void (bytesRead += count))) {
      records += 1;
      if (records % PROGRESS_RECORDS === 0) onProgress(bytesRead, records);
      if ('isOther' in record) {
        this.others += 1;
        continue;
      }
      const { place } = record;
      if ('refusal' in record) {
        yield { ...record, formerId: null };
        continue;
      }
      const read = readFormerUser(record.fields, names, region);
      yield 'refusal' in read ? { place, ...read } : { place, user: read };
    }
    onProgress(bytesRead, records);
  }
}
