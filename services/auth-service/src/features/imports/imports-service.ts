import type { Transaction } from '../../db/transaction.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import { toUserId, type FileSurvey, type RefusedRecord, type SurveyedRecord } from './file-survey.ts';
import type { FormerUser } from './former-user.ts';
import type { NoteReason, Refusal } from './import-reasons.ts';
import type { ReportEntry } from './import-report.ts';
import {
  findExisting,
  findLastId,
  findReservedIds,
  insertUsers,
  reserveIds,
  withImportLock,
  type Existing,
  type IdRange,
  type UserRow,
} from './imports-repository.ts';

export interface ImportOptions {
  readonly db: Database;
  /** Give every user the id that it had; false gives new ones. */
  readonly keepsIds: boolean;
  /** Ids up to this one stay free for imports to come; 0 leaves free what this file has. */
  readonly reserveUpToId: number;
  /** Only look and report. */
  readonly isDryRun: boolean;
  readonly report: (entry: ReportEntry) => Promise<void>;
}

/** What became of the users of the file. */
export interface ImportCounts {
  imported: number;
  /** Of those imported: without a password, disabled, without the address they had, formerly staff. */
  withoutPassword: number;
  disabled: number;
  withoutEmail: number;
  staff: number;
  /** By a run before this one; what has become of them since is left alone. */
  importedBefore: number;
  skipped: number;
  refused: number;
}

/**
 * Users per transaction: at 1,000 one round trip to the database is nothing beside its work, and what a crash undoes is
 * done again in a fraction of a second. More would only hold locks for longer.
 */
const BATCH_USERS = 1_000;

interface Candidate {
  readonly place: number;
  readonly user: FormerUser;
  readonly row: UserRow;
  readonly note: NoteReason | null;
}

type Decision = 'write' | 'write_without_email' | 'imported_before' | 'phone_number_taken' | 'id_taken';

interface Decided {
  readonly candidate: Candidate;
  readonly decision: Decision;
}

function isWritable(decision: Decision): boolean {
  return decision === 'write' || decision === 'write_without_email';
}

/** Brings the users of a surveyed file into the database, in batches that are each done or not done. */
export class UserImport {
  readonly counts: ImportCounts = {
    imported: 0,
    withoutPassword: 0,
    disabled: 0,
    withoutEmail: 0,
    staff: 0,
    importedBefore: 0,
    skipped: 0,
    refused: 0,
  };
  readonly #options: ImportOptions;
  #freeIds: readonly IdRange[] = [];

  constructor(options: ImportOptions) {
    this.#options = options;
  }

  /** May be interrupted at any time and run again: what was written is recognised and left alone. */
  async run(survey: FileSurvey): Promise<void> {
    await this.#setIdsAside(survey.largestId);
    let batch: (Candidate | RefusedRecord)[] = [];
    for await (const record of survey.users()) {
      batch.push(this.#toCandidate(record));
      if (batch.length < BATCH_USERS) continue;
      await this.#finish(batch);
      batch = [];
    }
    await this.#finish(batch);
  }

  async #setIdsAside(largestId: number): Promise<void> {
    const { db, keepsIds, reserveUpToId, isDryRun } = this.#options;
    if (!keepsIds) return;
    const upToId = Math.max(largestId, reserveUpToId);
    if (!isDryRun) {
      await reserveIds(db, upToId);
      this.#freeIds = await findReservedIds(db);
      return;
    }
    const [reserved, lastId] = [await findReservedIds(db), await findLastId(db)];
    this.#freeIds = [...reserved, { firstId: lastId + 1, lastId: upToId }];
  }

  #toCandidate(record: SurveyedRecord): Candidate | RefusedRecord {
    if ('refusal' in record) return record;
    const { place, user, isEmailUnique } = record;
    const { formerId } = user;
    const userId = this.#options.keepsIds && formerId !== null ? toUserId(formerId) : null;
    if (this.#options.keepsIds && formerId !== null && userId === null) {
      return { place, formerId, refusal: { reason: 'invalid_id' } };
    }
    const note = user.hasInvalidEmail ? 'email_invalid' : isEmailUnique ? null : 'email_duplicate';
    const { hasInvalidEmail: _, isStaff: __, ...fields } = user;
    return { place, user, row: { ...fields, userId, email: isEmailUnique ? user.email : null }, note };
  }

  /** Writes a batch, and reports on it in the order of the file. */
  async #finish(batch: readonly (Candidate | RefusedRecord)[]): Promise<void> {
    const { db, isDryRun } = this.#options;
    const candidates = batch.filter((entry): entry is Candidate => !('refusal' in entry));
    const decided = isDryRun
      ? await this.#decide(db, candidates)
      : await withImportLock(db, (tx) => this.#writeIn(tx, candidates));
    const decisions = new Map(decided.map(({ candidate, decision }) => [candidate, decision]));
    for (const entry of batch) {
      if ('refusal' in entry) await this.#refuse(entry.place, entry.formerId, entry.refusal);
      else await this.#count(entry, decisions.get(entry) ?? 'write');
    }
  }

  async #writeIn(tx: Transaction, batch: readonly Candidate[]): Promise<Decided[]> {
    const done: Decided[] = [];
    let open = batch;
    while (open.length > 0) {
      const decided = await this.#decide(tx, open);
      const writable = decided.filter(({ decision }) => isWritable(decision));
      const rows = writable.map(({ candidate: { row }, decision }) =>
        decision === 'write' ? row : { ...row, email: null },
      );
      const written = rows.length === 0 ? new Set<string>() : await insertUsers(tx, rows);
      // Somebody registered with one of these in this very moment: the next look sees the account.
      const missed = writable.filter(({ candidate }) => !written.has(candidate.row.phoneNumberE164));
      done.push(...decided.filter((entry) => !missed.includes(entry)));
      open = missed.map(({ candidate }) => candidate);
    }
    return done;
  }

  async #decide(db: Database | Transaction, batch: readonly Candidate[]): Promise<Decided[]> {
    const existing = await findExisting(db, batch.map(({ row }) => row));
    return batch.map((candidate) => ({ candidate, decision: this.#decideOne(candidate.row, existing) }));
  }

  #decideOne({ formerId, userId, phoneNumberE164, email }: UserRow, existing: Existing): Decision {
    if (formerId !== null && existing.formerIds.has(formerId)) return 'imported_before';
    if (existing.phoneNumbers.has(phoneNumberE164)) return 'phone_number_taken';
    if (userId !== null && (existing.userIds.has(userId) || !this.#isFree(userId))) return 'id_taken';
    return email !== null && existing.emails.has(email) ? 'write_without_email' : 'write';
  }

  #isFree(id: number): boolean {
    return this.#freeIds.some(({ firstId, lastId }) => firstId <= id && id <= lastId);
  }

  async #count({ place, user, note }: Candidate, decision: Decision): Promise<void> {
    const { counts } = this;
    const { formerId } = user;
    if (decision === 'imported_before') {
      counts.importedBefore += 1;
      return;
    }
    if (decision === 'id_taken') return this.#refuse(place, formerId, { reason: 'id_taken' });
    if (decision === 'phone_number_taken') {
      counts.skipped += 1;
      return this.#options.report({ place, formerId, outcome: 'skipped', reason: 'phone_number_taken' });
    }
    const emailNote = decision === 'write_without_email' ? 'email_taken' : note;
    counts.imported += 1;
    if (user.passwordHash === null) counts.withoutPassword += 1;
    if (user.isDisabled) counts.disabled += 1;
    if (emailNote !== null) counts.withoutEmail += 1;
    if (user.isStaff) counts.staff += 1;
    for (const reason of [emailNote, user.isStaff ? ('staff' as const) : null]) {
      if (reason !== null) await this.#options.report({ place, formerId, outcome: 'imported', reason });
    }
  }

  async #refuse(place: number, formerId: string | null, { reason, detail }: Refusal): Promise<void> {
    this.counts.refused += 1;
    const more = detail === undefined ? {} : { detail };
    await this.#options.report({ place, formerId, outcome: 'refused', reason, ...more });
  }
}
