import type { Pool, PoolClient } from 'pg';
import { NewerHistoryError } from './errors.js';
import { MIGRATIONS } from './migrations.js';
import { inTransaction, withPatience } from './transaction.js';

/** An index of many rows takes its time. */
const LIMIT_MS = 3_600_000;

const readVersion = async (client: PoolClient, schema: string): Promise<number> => {
  const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (rows.length === 0) await client.query(`CREATE SCHEMA ${client.escapeIdentifier(schema)}`);
  await client.query(`SET LOCAL search_path TO ${client.escapeIdentifier(schema)}`);
  await client.query(
    'CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
  );
  const found = await client.query('SELECT coalesce(max(version), 0) AS version FROM migrations');
  return found.rows[0].version;
};

/**
 * Brings the schema up to date. Whoever comes first does it, in one transaction under a lock of the server; the others wait for it, and find it
 * done. Returns how many migrations have run. Throws NewerHistoryError where the schema is that of a later version.
 */
export const migrate = (pool: Pool, schema: string, migrations = MIGRATIONS): Promise<number> =>
  inTransaction(pool, async (client) => {
    const query = await withPatience(client, LIMIT_MS);
    await query('SELECT pg_advisory_xact_lock(hashtext($1))', [`berth migrations of ${schema}`]);
    const version = await readVersion(client, schema);
    if (version > migrations.length) {
      throw new NewerHistoryError(
        `The database of DATABASE_URL is of version ${version}, and this Berth knows ${migrations.length}: it was used by a later one. ` +
          'Run that one, or name another database.',
      );
    }
    const due = migrations.slice(version);
    for (const [i, text] of due.entries()) {
      await query(text);
      await client.query('INSERT INTO migrations (version) VALUES ($1)', [version + i + 1]);
    }
    return due.length;
  });
