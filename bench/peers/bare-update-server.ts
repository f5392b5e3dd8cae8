/**
 * The ceiling of a refresh: one Fastify route that does one UPDATE by primary key and nothing else. No validation, no
 * token, no log, no header of its own. Runs as a process, set by DATABASE_URL, DATABASE_POOL_MAX, HOST and PORT.
 */
import Fastify from 'fastify';
import pg from 'pg';

const { DATABASE_URL, DATABASE_POOL_MAX, HOST, PORT } = process.env;

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(DATABASE_POOL_MAX) });
pool.on('error', () => undefined); // the database ends with the run
const app = Fastify();

app.post<{ Body: { id: string } }>('/update', async (request) => {
  const { rows } = await pool.query<{ counter: number }>(
    `update bench_sessions set refresh_counter = refresh_counter + 1, last_used_at = now()
     where id = $1 returning refresh_counter as counter`,
    [request.body.id],
  );
  return rows[0];
});

app.get('/readyz', async () => {
  await pool.query('select 1');
  return {};
});

app.addHook('onClose', () => pool.end());
process.once('SIGTERM', () => void app.close());

await app.listen({ host: HOST ?? '127.0.0.1', port: Number(PORT) });
