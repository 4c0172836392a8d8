import type { Pool } from 'pg';
import { type Kept, toArchivedJob } from './archived-job.js';
import { toText } from './save-jobs.js';
import { inTransaction, withPatience } from './transaction.js';

/** Which jobs: those that finished before then (Unix ms), of one user or class, or of all but some. */
export interface ArchiveCut {
  finished_before: number;
  user?: string;
  class?: string;
  not_users?: readonly string[];
  not_classes?: readonly string[];
}

/** `finished_at`: Unix ms. */
export interface FinishedJob {
  job_id: string;
  finished_at: number;
}

/** What is left of all users but some may be far down the index of ends: the walk to it may pass all that is archived. */
const LIMIT_MS = 60_000;

/** Oldest end first, up to `limit`; after `after`. */
export const findFinished = (
  pool: Pool,
  schema: string,
  cut: ArchiveCut,
  limit: number,
  after?: FinishedJob,
): Promise<FinishedJob[]> => {
  const values: unknown[] = [new Date(cut.finished_before)];
  const conditions = ['finished_at < $1'];
  const where = (condition: string, ...given: unknown[]): void => {
    if (given[0] === undefined) return;
    const first = values.push(...given) - given.length + 1;
    conditions.push(condition.replace('?', `$${first}`).replace('?', `$${first + 1}`));
  };
  where('user_name = ?', cut.user);
  where('class = ?', cut.class);
  where('user_name <> ALL (?::text[])', cut.not_users);
  where('class <> ALL (?::text[])', cut.not_classes);
  if (after) where('(finished_at, id) > (?, ?::uuid)', new Date(after.finished_at), after.job_id);
  const text =
    `SELECT id, finished_at FROM ${schema}.jobs WHERE ${conditions.join(' AND ')} ` +
    `ORDER BY finished_at, id LIMIT ${limit}`;
  return inTransaction(pool, async (client) => {
    const query = await withPatience(client, LIMIT_MS);
    const { rows } = await query<{ id: string; finished_at: Date }>(text, values);
    return rows.map(({ id, finished_at }) => ({ job_id: id, finished_at: finished_at.getTime() }));
  });
};

/** The rows of a job's usage have its user and its end, and its labels stand in its record: so each is found by an index that there is. */
const toDelete = (schema: string): string => `
  WITH gone AS (
    DELETE FROM ${schema}.jobs WHERE id = ANY ($1::uuid[]) RETURNING id, user_name, finished_at
  ), unlabelled AS (
    DELETE FROM ${schema}.job_labels l USING unnest($2::text[], $3::uuid[]) AS given (label, id)
    WHERE l.label = given.label AND l.id = given.id
  ), uncounted AS (
    DELETE FROM ${schema}.job_usage u USING gone
    WHERE u.user_name = gone.user_name AND u.finished_at = gone.finished_at AND u.id = gone.id
  )
  SELECT count(*)::int AS removed FROM gone`;

/** Removes jobs with their labels and usage, each whole or not at all. Returns how many were there. */
export const removeJobs = (pool: Pool, schema: string, job_ids: string[]): Promise<number> =>
  inTransaction(pool, async (client) => {
    const ids = [...job_ids].sort();
    const { rows: found } = await client.query<{ id: string; record: Kept }>(
      `SELECT id, record FROM ${schema}.jobs WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE`,
      [ids],
    );
    const labelled = found.flatMap(({ id, record }) => {
      const labels = toArchivedJob({ job_id: id, output_here: false, ...record })?.labels ?? [];
      return labels.map((label) => ({ id, label: toText(label) }));
    });
    const values = [ids, labelled.map(({ label }) => label), labelled.map(({ id }) => id)];
    return (await client.query({ text: toDelete(schema), values })).rows[0].removed;
  });
