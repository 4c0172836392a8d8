import type { Pool } from 'pg';
import type { ArchivedJob } from './archived-job.js';
import { inTransaction } from './transaction.js';

/** Text of PostgreSQL cannot hold the character 0. The record can, and is what is shown. */
export const toText = (text: string | null | undefined): string | null => text?.replaceAll('\0', '') ?? null;
const toTime = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));

const toJobColumns = (jobs: ArchivedJob[]): unknown[][] => [
  jobs.map(({ job }) => job.job_id),
  jobs.map(({ job }) => toText(job.user)),
  jobs.map(({ job }) => job.state),
  jobs.map(({ job }) => toText(job.cause)),
  jobs.map(({ job }) => toText(job.class)),
  jobs.map(({ job }) => toText(job.spec.name)),
  jobs.map(({ job }) => job.format),
  jobs.map(({ job }) => job.exit_code),
  jobs.map(({ job }) => toTime(job.created_at)),
  jobs.map(({ job }) => toTime(job.started_at)),
  jobs.map(({ job }) => toTime(job.finished_at ?? job.changed_at)),
  jobs.map(({ kept }) => JSON.stringify(kept)),
];

const toLabelColumns = (jobs: ArchivedJob[]): unknown[][] => {
  const rows = jobs.flatMap(({ job, labels }) => labels.map((label) => [toText(label), job.job_id, toText(job.user)]));
  return [rows.map(([label]) => label), rows.map(([, id]) => id), rows.map(([, , user]) => user)];
};

const toUsageColumns = (jobs: ArchivedJob[]): unknown[][] => {
  const rows = jobs.flatMap(({ job, usage }) => usage.map((row) => ({ ...row, job })));
  return [
    rows.map(({ node }) => toText(node)),
    rows.map(({ job }) => job.job_id),
    rows.map(({ is_first }) => is_first),
    rows.map(({ job }) => toText(job.user)),
    rows.map(({ job }) => toText(job.class)),
    rows.map(({ job }) => toTime(job.finished_at ?? job.changed_at)),
    rows.map(({ attempts }) => attempts),
    rows.map(({ run_ms }) => run_ms),
    rows.map(({ cpu_ms }) => cpu_ms),
    rows.map(({ cpu_reserved_ms }) => cpu_reserved_ms),
    rows.map(({ memory_mb_ms }) => memory_mb_ms),
    rows.map(({ gpu_ms }) => gpu_ms),
  ];
};

const JOB_COLUMNS =
  'id, user_name, state, cause, class, name, format, exit_code, created_at, started_at, finished_at, record';
const USAGE_COLUMNS =
  'node, id, is_first, user_name, class, finished_at, attempts, run_ms, cpu_ms, cpu_reserved_ms, memory_mb_ms, gpu_ms';

/** In one order, so that two that archive the same jobs wait for each other and never both for the other. */
const toInsert = (schema: string): string => `
  WITH new AS (
    INSERT INTO ${schema}.jobs (${JOB_COLUMNS})
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
      $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::json[]) AS given (${JOB_COLUMNS})
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  ), labelled AS (
    INSERT INTO ${schema}.job_labels (label, id, user_name)
    SELECT * FROM unnest($13::text[], $14::uuid[], $15::text[]) AS given (label, id, user_name) WHERE id IN (SELECT id FROM new)
    ON CONFLICT DO NOTHING
  ), counted AS (
    INSERT INTO ${schema}.job_usage (${USAGE_COLUMNS})
    SELECT * FROM unnest($16::text[], $17::uuid[], $18::boolean[], $19::text[], $20::text[], $21::timestamptz[], $22::int[],
      $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[]) AS given (${USAGE_COLUMNS})
    WHERE id IN (SELECT id FROM new)
  )
  SELECT count(*)::int AS added FROM new`;

/**
 * Archives jobs, each whole or not at all, and leaves those as they are that have been archived before. On disk when it returns, whatever the
 * server does for others. Returns how many were new.
 */
export const saveJobs = (pool: Pool, schema: string, jobs: ArchivedJob[]): Promise<number> =>
  inTransaction(pool, async (client) => {
    await client.query('SET LOCAL synchronous_commit TO on; SET LOCAL enable_hashjoin TO on');
    const values = [...toJobColumns(jobs), ...toLabelColumns(jobs), ...toUsageColumns(jobs)];
    const { rows } = await client.query({ text: toInsert(schema), values });
    return rows[0].added;
  });
