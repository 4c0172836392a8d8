import { type RetentionBook, toKeepSeconds, toMostKeepSeconds } from '@berth/domain';
import type { Store } from '@berth/store';
import { countRemoval, type RemovalCounts } from './removal-counts.js';

const BATCH = 200;

export interface RecordParts {
  store: Pick<Store, 'archiving' | 'retention'>;
  /** Where nobody has said how long they are kept. */
  retentionSeconds: number;
  now: () => number;
}

/** Removes the records that nobody keeps any longer. It reads no others, so every replica may do it often. */
export const sweepOldest = async ({ store: { retention }, retentionSeconds, now }: RecordParts): Promise<number> => {
  const before = now() - toMostKeepSeconds(await retention.readBook(), 'records', retentionSeconds) * 1000;
  let gone = 0;
  for (let removed = BATCH; removed === BATCH; gone += removed) removed = await retention.forget(before, BATCH);
  return gone;
};

const isDue =
  (book: RetentionBook, { retentionSeconds, now }: RecordParts) =>
  ({ finished_at, ...whose }: { user: string; class: string; finished_at: number }): boolean =>
    finished_at + toKeepSeconds(book, 'records', whose, retentionSeconds) * 1000 <= now();

/**
 * Removes the records of finished jobs in Redis whose time is up, oldest end first, and says which; `dry_run`: says it only. It looks at every finished job,
 * as one of today may be kept less long than one of last week.
 */
export const sweepRecords = async (dry_run: boolean, parts: RecordParts): Promise<RemovalCounts> => {
  const { archiving, retention } = parts.store;
  const counts: RemovalCounts = {};
  const due = isDue(await retention.readBook(), parts);
  for (let passed = 0; ; ) {
    const ids = await archiving.findFinished(passed, BATCH);
    const gone = (await retention.readFinished(ids)).filter(due).map(({ job_id }) => job_id);
    if (!dry_run) await retention.forgetJobs(gone);
    for (const id of gone) countRemoval(counts, 'records_expired', { id, bytes: 0 });
    if (ids.length < BATCH) return counts;
    passed += dry_run ? ids.length : ids.length - gone.length;
  }
};
