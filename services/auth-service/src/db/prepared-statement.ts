import { DrizzleQueryError, fillPlaceholders, type SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import type { Database } from '../plugins/database-plugin.ts';

const dialect = new PgDialect();

async function query<Row extends object>(db: Database, name: string, text: string, params: unknown[]): Promise<Row[]> {
  try {
    const { rows } = await db.$client.query<Row>({ name, text, values: params });
    return rows;
  } catch (error) {
    throw new DrizzleQueryError(text, params, error as Error);
  }
}

/** By text: the parts of a statement differ by caller, and `pg` refuses a name that stands for another text already. */
const composedNames = new Map<string, string>();

function nameOf(text: string): string {
  const name = composedNames.get(text) ?? `composed_${composedNames.size + 1}`;
  composedNames.set(text, name);
  return name;
}

/**
 * Carries out a statement of the hot paths that parts from elsewhere, with values of their own, are put into: parsed and
 * planned once for each connection, though its text is put together each time.
 * @param statement with everything that varies in its values; each text that there ever is is kept
 * @throws DrizzleQueryError, like every other statement
 */
export function executePrepared<Row extends object>(db: Database, statement: SQL): Promise<Row[]> {
  const { sql: text, params } = dialect.sqlToQuery(statement);
  return query(db, nameOf(text), text, params);
}

/**
 * A statement of the hot paths: its text is put together once for the process, and parsed and planned once for each
 * connection. For a small statement that is more work than carrying it out (docs/adr/0057-prepared-statements.md).
 */
export class PreparedStatement<Values extends object, Row extends object> {
  readonly #name: string;
  readonly #text: string;
  readonly #params: unknown[];

  /**
   * @param name tells statements of one connection apart
   * @param statement its values are `sql.placeholder(…)`, by the names that `rows` is given them under
   */
  constructor(name: string, statement: SQL) {
    const { sql: text, params } = dialect.sqlToQuery(statement);
    this.#name = name;
    this.#text = text;
    this.#params = params;
  }

  /** Carries it out, in no transaction but its own. @throws DrizzleQueryError, like every other statement */
  rows(db: Database, values: Values): Promise<Row[]> {
    return query(db, this.#name, this.#text, fillPlaceholders(this.#params, values as Record<string, unknown>));
  }
}
