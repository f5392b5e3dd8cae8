import { DrizzleQueryError, fillPlaceholders, type SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import type { Database } from '../plugins/database-plugin.ts';

const dialect = new PgDialect();

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
  async rows(db: Database, values: Values): Promise<Row[]> {
    const params = fillPlaceholders(this.#params, values as Record<string, unknown>);
    try {
      const { rows } = await db.$client.query<Row>({ name: this.#name, text: this.#text, values: params });
      return rows;
    } catch (error) {
      throw new DrizzleQueryError(this.#text, params, error as Error);
    }
  }
}
