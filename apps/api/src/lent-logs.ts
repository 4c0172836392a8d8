import type { History } from '@berth/history';
import { type Archiving, FilesUnavailable, type LogStore, type Store } from '@berth/store';

type Lending = Pick<Archiving, 'renewLent' | 'lendSegments'>;

/**
 * Logs as if finished jobs had never left Redis. Their segments are where they were; the index of them is lent to Redis by the archive, to whoever
 * reads the log and for as long. A job may leave, and a loan end, at any moment of a reading. So it is read first and asked afterwards
 * whether the job is here: where it is not, and what was found may therefore be too little, the index is lent and it is read again.
 * FilesUnavailable where Redis does not take it: the job itself can be read all the same.
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
  /** `isTrue`: what is found is right wherever the job is. */
  const look = async <T>(job_id: string, read: () => Promise<T>, isTrue: (found: T) => boolean): Promise<T> => {
    const found = await read();
    return isTrue(found) || (await lend(job_id)) === 'here' ? found : read();
  };
  const isSome = (found: unknown[]): boolean => found.length > 0;
  return {
    ...logs,
    readAfter: (job_id, ...from) => look(job_id, () => logs.readAfter(job_id, ...from), isSome),
    listSegments: (job_id) => look(job_id, () => logs.listSegments(job_id), isSome),
    readEnd: (job_id) =>
      look(
        job_id,
        () => logs.readEnd(job_id),
        (end) => end !== '-',
      ),
    /** Half of a tail looks like a whole one. */
    readTails: (job_id, ...which) =>
      look(
        job_id,
        () => logs.readTails(job_id, ...which),
        () => false,
      ),
    /** Whoever has come to the segments has the whole index of them, so what follows is not missed. */
    async *readBackwards(job_id, { before, skips = () => false } = {}) {
      let last = before;
      let has_index = false;
      const skipsNoted: typeof skips = (segment) => {
        has_index = true;
        return skips(segment);
      };
      const readOn = async function* () {
        const options = { ...(last === undefined ? {} : { before: last }), skips: skipsNoted };
        for await (const entry of logs.readBackwards(job_id, options)) {
          yield entry;
          last = entry.id;
        }
      };
      yield* readOn();
      if (!has_index && (await lend(job_id)) === 'lent') yield* readOn();
    },
  };
};
