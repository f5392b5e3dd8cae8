import { createTestDirectory } from '@infrasignal/testkit';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap from 'tap';
import { createAuthDatabase, type TestContext } from '../auth-fixture.ts';
import { infrasignal, type Run } from '../command-line.ts';

/** Where the files of a test file are, and the reports beside them. */
export const directory = createTestDirectory(tap);

/** An exported file of the fixture, somewhere where a report can be put beside it. */
export function exported(name: 'users.json' | 'users.jsonl' | 'users.csv'): string {
  const path = join(directory, name);
  writeFileSync(path, readFileSync(new URL(`../fixtures/django/old-app/${name}`, import.meta.url)));
  return path;
}

/** What the command needs: it connects to no broker. */
export type Servers = Parameters<typeof infrasignal>[0];

export async function onlyDatabase(t: TestContext): Promise<Servers> {
  return { database: await createAuthDatabase(t), nats: { url: 'nats://127.0.0.1:1' } };
}

let filesMade = 0;

export function fileOf(content: string): string {
  filesMade += 1;
  const path = join(directory, `made-${filesMade}.txt`);
  writeFileSync(path, content);
  return path;
}

export const HASH = 'pbkdf2_sha256$260000$1O5H3tFFogh4pnOX7p8Vbh$gFFdfI8L2RGg2xlvcw5euP4wEvLmXOwQKNtKG1Motak=';

/** A JSON line of a user. Each id from 1 on has a number of its own. */
export function userLine(id: number, fields: Record<string, unknown> = {}): string {
  const number = `07${String(50_000_000 + id)}`;
  return JSON.stringify({ id, phone_number: number, password: HASH, ...fields });
}

export interface Result {
  imported: number;
  imported_before: number;
  skipped: number;
  refused: number;
  without_email: number;
  report: string;
}

/** Runs `infrasignal import-django … --json`. */
export async function run(servers: Servers, ...argv: string[]): Promise<Run & { result: Result }> {
  const done = await infrasignal(servers, 'import-django', ...argv, '--json');
  return { ...done, result: (done.out === '' ? {} : JSON.parse(done.out)) as Result };
}

/** Everything that an import could change. */
export async function snapshot({ database }: Pick<Servers, 'database'>): Promise<string> {
  const tables = ['users', 'imported_users', 'reserved_user_ids', 'sessions'];
  const rows = await Promise.all(tables.map((table) => database.query(`select * from ${table} order by 1`)));
  const sequence = await database.query('select last_value, is_called from users_id_seq');
  return JSON.stringify([rows, sequence]);
}
