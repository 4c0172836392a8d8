import type { StoredJob } from '@berth/store';
import type { Pool } from 'pg';

/** Archived jobs of a month, as SQL makes them: users, names, labels and nodes of which some are everywhere and some are rare. */
export const USERS = 50;
export const RARE = { user: 'rare', label: 'team=rare', name: 'rare', node: 'node-rare', cause: 'poison' };
const CHUNK = 100_000;
const MONTH_MS = 30 * 24 * 3600 * 1000;

interface Filling {
  schema: string;
  rows: number;
  /** A real job, whose record every row gets. */
  sample: StoredJob;
}

/** Without the indexes, which are made again at the end: to fill them row by row takes three times as long. */
const withoutIndexes = async (pool: Pool, schema: string, fill: () => Promise<void>): Promise<void> => {
  const text =
    'SELECT indexname AS name, indexdef AS made_by FROM pg_indexes WHERE schemaname = $1 AND indexname NOT LIKE $2';
  const { rows } = await pool.query(text, [schema, '%pkey']);
  for (const { name } of rows) await pool.query(`DROP INDEX ${schema}.${name}`);
  await fill();
  for (const { made_by } of rows) await pool.query(made_by);
};

/** `n`: 1 for the oldest. Every 50,000th is of the rare ones; the oldest tenth alone has the label `era=old`. */
const toRows = (schema: string, [from, to]: [number, number], rows: number): string => `
  CREATE TEMP TABLE filling AS
  SELECT n, at, (lpad(to_hex(at), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
    CASE WHEN n % 50000 = 0 THEN '${RARE.user}' ELSE 'user-' || floor(${USERS} * power(random(), 2)) END AS user_name,
    CASE WHEN p < 0.9 THEN 'completed' WHEN p < 0.98 THEN 'failed' ELSE 'cancelled' END AS state,
    CASE WHEN p < 0.9 THEN NULL WHEN n % 50000 < 5 THEN '${RARE.cause}' WHEN p < 0.97 THEN 'exit_code' WHEN p < 0.975 THEN 'out_of_memory'
      WHEN p < 0.98 THEN 'timeout' ELSE 'cancelled' END AS cause,
    CASE WHEN n % 2000 = 0 THEN 'gpu' WHEN n % 20 = 0 THEN 'large' WHEN n % 6 = 0 THEN 'medium' ELSE 'small' END AS class,
    CASE WHEN n % 50000 = 0 THEN '${RARE.name}' WHEN n % 3 = 0 THEN NULL ELSE 'name-' || n % 1000 END AS name,
    CASE WHEN n % 50000 = 0 THEN '${RARE.node}' ELSE 'node-' || n % 50 END AS node
  FROM (SELECT n, random() AS p, (extract(epoch FROM now()) * 1000 - ${MONTH_MS} * (1 - n::float8 / ${rows}) - 3600000)::bigint AS at
    FROM generate_series(${from}, ${to}) AS n) AS made;
  INSERT INTO ${schema}.jobs (id, user_name, state, cause, class, name, format, exit_code, created_at, started_at, finished_at, record)
    SELECT id, user_name, state, cause, class, name, 'v1', 0, to_timestamp(at / 1000.0), to_timestamp(at / 1000.0 + 5),
      to_timestamp(at / 1000.0 + 65), (SELECT record FROM sample) FROM filling;
  INSERT INTO ${schema}.job_labels (label, id, user_name)
    SELECT 'project=p' || n % 200, id, user_name FROM filling UNION ALL
    SELECT CASE WHEN n % 50000 = 0 THEN '${RARE.label}' WHEN n <= ${rows / 10} THEN 'era=old' ELSE 'team=t' || n % 5 END, id, user_name FROM filling;
  INSERT INTO ${schema}.job_usage
    SELECT node, id, true, user_name, class, to_timestamp(at / 1000.0 + 65), 1, 60000, 30000, 60000, 15360000, 0 FROM filling;
  DROP TABLE filling;`;

export const fillArchive = async (pool: Pool, { schema, rows, sample }: Filling): Promise<void> => {
  const { fields, events, segments } = sample;
  const client = await pool.connect();
  try {
    await client.query('CREATE TEMP TABLE sample (record json)');
    await client.query('INSERT INTO sample VALUES ($1)', [JSON.stringify({ fields, events, segments })]);
    await withoutIndexes(pool, schema, async () => {
      for (let from = 1; from <= rows; from += CHUNK)
        await client.query(toRows(schema, [from, Math.min(rows, from + CHUNK - 1)], rows));
    });
    await client.query(`VACUUM ANALYZE ${schema}.jobs, ${schema}.job_labels, ${schema}.job_usage`);
  } finally {
    client.release(true);
  }
};
