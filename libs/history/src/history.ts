import type { JobState } from '@berth/domain';
import {
  type JobEventEntry,
  type JobFilter,
  type JobRecord,
  type StoredJob,
  toJobEvents,
  toJobRecord,
} from '@berth/store';
import pg from 'pg';
import { type Kept, toArchivedJob } from './archived-job.js';
import { isAway, toHistoryError } from './errors.js';
import { listJobs, type Slice, toListQuery } from './list-jobs.js';
import { migrate } from './migrate.js';
import { readUsage, type UsageQuestion, type UsageSum } from './read-usage.js';
import { type ArchiveCut, type FinishedJob, findFinished, removeJobs } from './remove-jobs.js';
import { saveJobs } from './save-jobs.js';

/**
 * Finished jobs in PostgreSQL, each as it stood in Redis. Every call throws AppError `unavailable` while the server is away, and
 * needs no more than that it comes back. Nothing here is ever changed: what ended has ended, and stays until it is removed.
 */
export interface History {
  /** Durable when it returns. A job that is there already is left as it is. Returns how many were new. */
  save(jobs: StoredJob[]): Promise<number>;
  read(job_id: string): Promise<FoundJob | null>;
  /** Empty for a job that is not there. */
  readEvents(job_id: string, after_seq?: number): Promise<JobEventEntry[]>;
  /** Of those of these jobs that are there. */
  readStates(job_ids: string[]): Promise<{ job_id: string; user: string; state: JobState }[]>;
  list(filter: JobFilter, slice: Slice): Promise<JobRecord[]>;
  /** The newest job that is there, or null where none is. */
  readNewest(): Promise<string | null>;
  readUsage(question: UsageQuestion, besides: readonly string[]): Promise<UsageSum[]>;
  /** Oldest end first, up to `limit`; of a page the next is what comes after its last. */
  findFinished(cut: ArchiveCut, limit: number, after?: FinishedJob): Promise<FinishedJob[]>;
  /** With their labels and usage. Returns how many were there. */
  remove(job_ids: string[]): Promise<number>;
  close(): Promise<void>;
}

export interface FoundJob {
  job: JobRecord;
  /** JSON, as it stood in Redis: where its output is in the file store. */
  segments: string[];
}

export interface HistoryOptions {
  url: string;
  /** One installation is one schema of this name. */
  prefix: string;
  /** Hears of a connection that broke while nobody used it. */
  onError: (error: Error) => void;
}

const CONNECTIONS = 5;
const CONNECT_MS = 2_000;
const STATEMENT_MS = 10_000;
/** Of a server that does not even say that it took too long. */
const SILENCE_MS = STATEMENT_MS + 2_000;
const IDLE_MS = 30_000;

/**
 * A page of a list is a walk along one index that stops when the page is full, with a look into other tables for each row. The planner would
 * rather walk two indexes side by side, which is slow where what is asked for is old.
 */
const WALK = '-c enable_mergejoin=off -c enable_hashjoin=off';

const openPool = ({ url, onError }: HistoryOptions): pg.Pool => {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: SILENCE_MS,
    idleTimeoutMillis: IDLE_MS,
    application_name: 'berth',
    options: WALK,
  });
  pool.on('error', onError);
  return pool;
};

/** Brings the database up to date where it can be reached. Throws NewerHistoryError, with nothing left open, where it is of a later version. */
export const openHistory = async (options: HistoryOptions): Promise<History> => {
  const pool = openPool(options);
  const schema = pg.escapeIdentifier(options.prefix);
  let migrated: Promise<unknown> | undefined;

  const prepare = (): Promise<unknown> => {
    migrated ??= migrate(pool, options.prefix).catch((error) => {
      migrated = undefined;
      throw error;
    });
    return migrated;
  };
  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      await prepare();
      return await work();
    } catch (error) {
      throw toHistoryError(error);
    }
  };
  const readKept = async (job_id: string): Promise<Kept | undefined> => {
    const { rows } = await pool.query<{ record: Kept }>(`SELECT record FROM ${schema}.jobs WHERE id = $1`, [job_id]);
    return rows[0]?.record;
  };

  await prepare().catch(async (error) => {
    if (isAway(error)) return options.onError(error);
    await pool.end();
    throw error;
  });

  return {
    save: (stored) =>
      ask(async () => {
        const jobs = stored.map(toArchivedJob).filter((job) => job !== null);
        return jobs.length === 0 ? 0 : saveJobs(pool, schema, jobs);
      }),
    read: (job_id) =>
      ask(async () => {
        const kept = await readKept(job_id);
        const job = toJobRecord(job_id, kept?.fields ?? {});
        return kept && job ? { job, segments: kept.segments } : null;
      }),
    readEvents: (job_id, after_seq = 0) =>
      ask(async () => {
        const kept = await readKept(job_id);
        if (kept === undefined) return [];
        const events = kept.events.slice(Math.max(0, after_seq - 1));
        return toJobEvents(after_seq === 0 ? Number(kept.fields.created_at) : null, events);
      }),
    readStates: (job_ids) =>
      ask(async () => {
        const text = `SELECT id AS job_id, user_name AS user, state FROM ${schema}.jobs WHERE id = ANY ($1::uuid[])`;
        return (await pool.query(text, [job_ids])).rows;
      }),
    list: (filter, slice) => ask(() => listJobs(pool, toListQuery(schema, filter, slice))),
    readNewest: () =>
      ask(async () => (await pool.query(`SELECT id FROM ${schema}.jobs ORDER BY id DESC LIMIT 1`)).rows[0]?.id ?? null),
    readUsage: (question, besides) => ask(() => readUsage(pool, schema, question, besides)),
    findFinished: (cut, limit, after) => ask(() => findFinished(pool, schema, cut, limit, after)),
    remove: (job_ids) => ask(async () => (job_ids.length === 0 ? 0 : removeJobs(pool, schema, job_ids))),
    close: () => pool.end(),
  };
};
