// Loaded into auth-service for a negative control (NODE_OPTIONS): its relay remembers the last id that it has seen, and
// asks for what is beyond. While the table `waits_for_all` has a row it waits, as other relays do against that, until
// no transaction is open that is older than a row.
import pg from 'pg';

const UNPUBLISHED = 'where published_at is null and user_id <> all($2::bigint[])';

const { query } = pg.Client.prototype;
let lastId = 0;

pg.Client.prototype.query = function (text, values, callback) {
  if (typeof text !== 'string' || !text.includes(UNPUBLISHED)) return query.call(this, text, values, callback);
  const byCursor = `${UNPUBLISHED} and case when exists (select 1 from waits_for_all)
    then xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint else id > ${lastId} end`;
  return query.call(this, text.replace(UNPUBLISHED, byCursor), values, (error, result) => {
    if (!error && result.rows.length > 0) lastId = Math.max(lastId, result.rows.at(-1).id);
    callback(error, result);
  });
};
