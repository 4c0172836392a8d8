import { isTerminal } from '@berth/domain';
import type { JobRecord, Store } from '@berth/store';
import type { JobStory } from './evidence.js';

const PAGE = 500;
const MOST_TRIES = 10;

/** Every job that there is, newest first, each with a history that was read at the same time. */
export async function* readStories(store: Store): AsyncGenerator<JobStory> {
  for (let after: string | undefined; ; ) {
    const { jobs, next } = await store.list.list({}, PAGE, after);
    yield* await Promise.all(jobs.map((record) => readStory(store, record)));
    if (next === null) return;
    after = next;
  }
}

/** A job that is under way may change between the two reads: then both are read again. */
const readStory = async (store: Store, seen: JobRecord): Promise<JobStory> => {
  let record = seen;
  for (let tries = 1; ; tries += 1) {
    const history = await store.jobs.readHistory(record.job_id);
    if (isTerminal(record.state)) return { record, history };
    const again = (await store.jobs.read(record.job_id)) ?? record;
    const still = again.state === record.state && again.epoch === record.epoch && again.attempt === record.attempt;
    if (still || tries === MOST_TRIES) return { record: again, history };
    record = again;
  }
};
