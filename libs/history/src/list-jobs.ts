import { type JobFilter, type JobRecord, toFirstId, toJobRecord } from '@berth/store';
import type { Pool } from 'pg';
import type { Kept } from './archived-job.js';

/** Which of the jobs that match: newest first, so many, all older than `before` and none older than `from`. */
export interface Slice {
  limit: number;
  before?: string | undefined;
  from?: string | undefined;
}

interface Query {
  text: string;
  values: unknown[];
}

/** An id has the time of an API's clock, an end that of Redis: so much may the end lie before the id. */
const CLOCKS_MS = 3_600_000;

/** Between which ids all lie that match, `from` included and `before` not. Undefined: no bound. */
const toBounds = (
  filter: JobFilter,
  { before, from }: Slice,
): { before: string | undefined; from: string | undefined } => {
  const { created_after, created_before, finished_before } = filter;
  const ends = [
    before,
    created_before === undefined ? undefined : toFirstId(created_before),
    finished_before === undefined ? undefined : toFirstId(finished_before + CLOCKS_MS),
  ];
  const starts = [from, created_after === undefined ? undefined : toFirstId(created_after)];
  return {
    before: ends.filter((id) => id !== undefined).sort()[0],
    from: starts
      .filter((id) => id !== undefined)
      .sort()
      .at(-1),
  };
};

const toTime = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms));

/** The bounds stand for each table, because the planner passes on what is equal and not what is less. */
export const toListQuery = (schema: string, filter: JobFilter, slice: Slice): Query => {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const where = (condition: string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(condition.replaceAll('?', `$${values.length}`));
  };
  const tables = [`${schema}.jobs j`];
  if (filter.label !== undefined) tables.push(`${schema}.job_labels l ON l.id = j.id`);
  if (filter.node !== undefined) tables.push(`${schema}.job_usage u ON u.id = j.id`);
  where('l.label = ?', filter.label);
  where('u.node = ?', filter.node);
  where('j.user_name = ?', filter.user);
  if (filter.label !== undefined) where('l.user_name = ?', filter.user);
  if (filter.node !== undefined) where('u.user_name = ?', filter.user);
  where('j.state = ?', filter.state);
  where('j.cause = ?', filter.cause);
  where('j.class = ?', filter.class);
  where('j.name = ?', filter.name);
  where('j.format = ?', filter.format);
  where('j.finished_at >= ?', toTime(filter.finished_after));
  where('j.finished_at < ?', toTime(filter.finished_before));
  const { before, from } = toBounds(filter, slice);
  for (const table of [
    'j',
    ...(filter.label === undefined ? [] : ['l']),
    ...(filter.node === undefined ? [] : ['u']),
  ]) {
    where(`${table}.id < ?::uuid`, before);
    where(`${table}.id >= ?::uuid`, from);
  }
  const text =
    `SELECT j.id, j.record FROM ${tables.join(' JOIN ')}` +
    `${conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`} ORDER BY j.id DESC LIMIT ${slice.limit}`;
  return { text, values };
};

export const listJobs = async (pool: Pool, query: Query): Promise<JobRecord[]> => {
  const { rows } = await pool.query<{ id: string; record: Kept }>(query);
  return rows.map(({ id, record }) => toJobRecord(id, record.fields)).filter((job) => job !== null);
};
