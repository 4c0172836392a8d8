import type { History } from '@berth/history';
import { type Archiving, FilesUnavailable, type LogStore, type Store } from '@berth/store';

type Lending = Pick<Archiving, 'renewLent' | 'lendSegments'>;

/**
 * Logs as if finished jobs had never left Redis. Their segments are where they were; the index of them is lent to Redis by the archive, to whoever
 * reads the log and for as long. Where it is gone again in the midst of a long reading, a page is empty, and it is lent anew before that is
 * taken for the end. FilesUnavailable where Redis does not take it: the job itself can be read all the same.
 */
export const withLentLogs = (
  { logs, archiving }: { logs: Store['logs']; archiving: Lending },
  history: Pick<History, 'read'>,
): LogStore => {
  const lend = async (job_id: string): Promise<'here' | 'lent'> => {
    const found = await archiving.renewLent(job_id);
    if (found !== 'gone') return found;
    const segments = (await history.read(job_id))?.segments ?? [];
    await archiving.lendSegments(job_id, segments).catch((cause) => {
      throw new FilesUnavailable('The log of an archived job cannot be read: Redis takes nothing now', { cause });
    });
    return 'lent';
  };
  return {
    ...logs,
    async readAfter(job_id, ...from) {
      const page = await logs.readAfter(job_id, ...from);
      return page.length > 0 || (await lend(job_id)) === 'here' ? page : logs.readAfter(job_id, ...from);
    },
    async listSegments(job_id) {
      await lend(job_id);
      return logs.listSegments(job_id);
    },
    async readEnd(job_id) {
      await lend(job_id);
      return logs.readEnd(job_id);
    },
    async *readBackwards(job_id, options) {
      await lend(job_id);
      yield* logs.readBackwards(job_id, options);
    },
    async readTails(job_id, ...which) {
      await lend(job_id);
      return logs.readTails(job_id, ...which);
    },
  };
};
