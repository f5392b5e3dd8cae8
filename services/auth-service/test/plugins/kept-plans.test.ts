/**
 * If this breaks: an instance that was started while there were a few accounts reads all of them for each login and each
 * refresh when there are many, and answers nobody any more, until PostgreSQL happens to analyse the table.
 */
import { createTestDatabase } from '@infrasignal/testkit';
import t from 'tap';
import { createPool } from '../../src/db/pool.ts';

/** After five executions PostgreSQL keeps the plan, if it is no worse. */
const EXECUTIONS = 10;

t.test('a plan that is kept goes by the index, also if it was made when the table was tiny', async (t) => {
  const database = await createTestDatabase(t);
  const pool = createPool({
    databaseUrl: database.url,
    connectionsMax: 1,
    waitingMax: 1,
    applicationName: 'test',
    connectMsMax: 10_000,
    statementMsMax: 10_000,
    onLost: () => undefined,
  });
  t.teardown(() => pool.end());
  await pool.query('create table people (id bigint primary key, number text unique)');
  await pool.query(`insert into people select id, 'n' || id from generate_series(1, 3) as id`);
  await pool.query('analyze people');
  for (let times = 0; times < EXECUTIONS; times += 1) {
    await pool.query({ name: 'find', text: 'select id from people where number = $1', values: ['n2'] });
  }
  const { rows } = await pool.query<Record<string, string>>(`explain execute find ('n2')`);
  const plan = rows.flatMap((row) => Object.values(row)).join('\n');
  t.match(plan, 'people_number_key', 'by the index');
  t.match(plan, '$1', 'the plan that is kept');
});
