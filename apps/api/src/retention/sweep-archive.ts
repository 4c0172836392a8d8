import type { RetentionBook } from '@berth/domain';
import type { ArchiveCut, History } from '@berth/history';
import { countRemoval, type RemovalCounts } from './removal-counts.js';

const BATCH = 500;

type Said = Record<string, { records_seconds?: number | undefined }>;

const namesIn = (said: Said = {}): string[] =>
  Object.keys(said).filter((name) => said[name]?.records_seconds !== undefined);

/**
 * What of the archive is kept no longer: nothing but what somebody has said it of. A user's word counts before a class's, that before the default.
 * `now`: Unix ms.
 */
export const toArchiveCuts = ({ default: all, classes, users }: RetentionBook, now: number): ArchiveCut[] => {
  const [not_users, not_classes] = [namesIn(users), namesIn(classes)];
  const toBefore = (seconds = 0): number => now - seconds * 1000;
  const rest = all?.records_seconds;
  return [
    ...not_users.map((user) => ({ user, finished_before: toBefore(users?.[user]?.records_seconds) })),
    ...not_classes.map((name) => ({
      class: name,
      not_users,
      finished_before: toBefore(classes?.[name]?.records_seconds),
    })),
    ...(rest === undefined ? [] : [{ not_users, not_classes, finished_before: toBefore(rest) }]),
  ];
};

/** Removes archived jobs whose time is up, oldest end first, and says which; `dry_run`: says it only. */
export const sweepArchive = async (
  dry_run: boolean,
  history: Pick<History, 'findFinished' | 'remove'>,
  cuts: ArchiveCut[],
): Promise<RemovalCounts> => {
  const counts: RemovalCounts = {};
  for (const cut of cuts) {
    let page = await history.findFinished(cut, BATCH);
    while (page.length > 0) {
      const ids = page.map(({ job_id }) => job_id);
      if (!dry_run) await history.remove(ids);
      for (const id of ids) countRemoval(counts, 'records_expired', { id, bytes: 0 });
      page = page.length < BATCH ? [] : await history.findFinished(cut, BATCH, page.at(-1));
    }
  }
  return counts;
};
