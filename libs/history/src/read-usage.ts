import type { Consumption } from '@berth/domain';
import type { Pool } from 'pg';

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

/** Adds up what is archived, but for the jobs `besides`. */
export const readUsage = async (
  pool: Pool,
  schema: string,
  { by, from, to, user }: UsageQuestion,
  besides: readonly string[],
): Promise<UsageSum[]> => {
  const jobs = by === 'node' ? 'count(*)' : 'count(*) FILTER (WHERE is_first)';
  const sums = SUMS.map((name) => `sum(${name})::float8 AS ${name}`).join(', ');
  const text =
    `SELECT ${COLUMNS[by]} AS key, ${jobs}::float8 AS jobs, ${sums} FROM ${schema}.job_usage ` +
    'WHERE finished_at >= $1 AND finished_at < $2 AND NOT (id = ANY ($3::uuid[]))' +
    `${by === 'node' ? " AND node <> ''" : ''}${user === undefined ? '' : ' AND user_name = $4'} GROUP BY 1`;
  const values = [new Date(from), new Date(to), besides, ...(user === undefined ? [] : [user])];
  const { rows } = await pool.query<UsageSum>({ text, values });
  return rows;
};
