import type { Consumption } from '@berth/domain';
import type { Pool } from 'pg';
import { inTransaction } from './transaction.js';

export const USAGE_KEYS = ['user', 'class', 'node'] as const;
export type UsageKey = (typeof USAGE_KEYS)[number];

/** Whose finished jobs are added up, and by what. Unix milliseconds, the first included, the second not. */
export interface UsageQuestion {
  by: UsageKey;
  from: number;
  to: number;
  user?: string | undefined;
}

export interface UsageSum extends Consumption {
  key: string;
  /** How many jobs finished; by node, how many ran there. */
  jobs: number;
  attempts: number;
}

const COLUMNS = { user: 'user_name', class: 'class', node: 'node' } as const;
const SUMS = ['attempts', 'run_ms', 'cpu_ms', 'cpu_reserved_ms', 'memory_mb_ms', 'gpu_ms'] as const;

/** Adds up what is archived, but for the jobs `besides`, which may be thousands. */
export const readUsage = (
  pool: Pool,
  schema: string,
  { by, from, to, user }: UsageQuestion,
  besides: readonly string[],
): Promise<UsageSum[]> => {
  const jobs = by === 'node' ? 'count(*)' : 'count(*) FILTER (WHERE is_first)';
  const sums = SUMS.map((name) => `sum(${name})::float8 AS ${name}`).join(', ');
  const text =
    `SELECT ${COLUMNS[by]} AS key, ${jobs}::float8 AS jobs, ${sums} FROM ${schema}.job_usage ` +
    'WHERE finished_at >= $1 AND finished_at < $2 ' +
    'AND NOT EXISTS (SELECT 1 FROM unnest($3::uuid[]) AS besides (id) WHERE besides.id = job_usage.id)' +
    `${by === 'node' ? " AND node <> ''" : ''}${user === undefined ? '' : ' AND user_name = $4'} GROUP BY 1`;
  const values = [new Date(from), new Date(to), besides, ...(user === undefined ? [] : [user])];
  return inTransaction(pool, async (client) => {
    await client.query('SET LOCAL enable_hashjoin TO on');
    return (await client.query<UsageSum>({ text, values })).rows;
  });
};
