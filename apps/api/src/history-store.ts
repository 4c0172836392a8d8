import { AppError, type Dependency, isTerminal } from '@berth/domain';
import type { History } from '@berth/history';
import type { CancelReply, ControlReply, JobFilter, JobPage, JobRecord, Store } from '@berth/store';
import { withLentLogs } from './lent-logs.js';

/**
 * The store as if finished jobs had never left it. Always first Redis, then the archive: a job is removed from the one only when it is in the
 * other, so whoever looks in this order finds it at least once, and a job that both have is one job. `unavailable` where the archive is
 * needed and away; what is in Redis is read without it.
 */
export const withHistory = (store: Store, history: History): Store => ({
  ...store,
  jobs: { ...store.jobs, ...createReads(store, history), ...createAccept(store, history) },
  arrays: {
    ...store.arrays,
    add: (array) => knowingEnds(store, history, array.job.spec.after, () => store.arrays.add(array)),
  },
  list: { ...store.list, list: createList(store, history) },
  control: createControl(store, history),
  logs: withLentLogs(store, history),
});

const createReads = ({ jobs }: Store, history: History) => ({
  async read(job_id: string): Promise<JobRecord | null> {
    const here = await jobs.read(job_id);
    return here ?? (await history.read(job_id))?.job ?? null;
  },

  async readHistory(job_id: string, after_seq = 0) {
    const events = await jobs.readHistory(job_id, after_seq);
    if (events.length > 0 || (await jobs.read(job_id)) !== null) return events;
    return history.readEvents(job_id, after_seq);
  },

  async cancel(job_id: string): Promise<CancelReply> {
    const reply = await jobs.cancel(job_id);
    const found = reply.kind === 'missing' ? await history.read(job_id) : null;
    if (found === null) return reply;
    const { state, class: className } = found.job;
    return state === 'cancelled' ? { kind: 'cancelled', class: className, ticket: null } : { kind: 'finished', state };
  },
});

/** Does it once more where a job that is to be waited for is missing in Redis and has ended, having told Redis how it ended. */
const knowingEnds = async <T>(
  { archiving }: Store,
  history: History,
  after: Dependency[] | undefined,
  submit: () => Promise<T>,
): Promise<T> => {
  try {
    return await submit();
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'dependency_not_found')) throw error;
    const ended = await history.readStates((after ?? []).map(({ job }) => job));
    if (ended.length === 0) throw error;
    await archiving.noteEnds(ended);
    return submit();
  }
};

const createAccept = (store: Store, history: History): Pick<Store['jobs'], 'accept'> => ({
  accept: (job) => knowingEnds(store, history, job.spec.after, () => store.jobs.accept(job)),
});

const byNewest = (a: JobRecord, b: JobRecord): number => (a.job_id < b.job_id ? 1 : -1);

/** `older`: what the archive has of the same stretch, up to one more than `limit`. */
const merge = (page: JobPage, older: JobRecord[], limit: number): JobPage => {
  const here = new Set(page.jobs.map(({ job_id }) => job_id));
  const all = [...page.jobs, ...older.filter(({ job_id }) => !here.has(job_id))].sort(byNewest);
  const jobs = all.slice(0, limit);
  return { jobs, next: all.length > limit ? (jobs.at(-1)?.job_id ?? null) : page.next };
};

/**
 * A page of Redis says how far down it has looked; the archive is asked for the same stretch. Not where nothing that old can be in it: the note of
 * the newest job that was archived is read after the page, so a job that left meanwhile is no newer than the note.
 */
const createList =
  ({ list, archiving }: Store, history: History) =>
  async (filter: JobFilter, limit: number, after?: string): Promise<JobPage> => {
    const page = await list.list(filter, limit, after);
    if (filter.state && !isTerminal(filter.state)) return page;
    const newest = await archiving.readNewestArchived();
    if (newest !== null && page.next !== null && newest < page.next) return page;
    const older = await history.list(filter, { limit: limit + 1, before: after, from: page.next ?? undefined });
    return merge(page, older, limit);
  };

const createControl = ({ control }: Store, history: History): Store['control'] => {
  const orEnded = async (job_id: string, reply: ControlReply): Promise<ControlReply> => {
    const found = reply.kind === 'missing' ? await history.read(job_id) : null;
    return found === null ? reply : { kind: 'refused', state: found.job.state };
  };
  return {
    hold: async (job_id) => orEnded(job_id, await control.hold(job_id)),
    unhold: async (job_id) => orEnded(job_id, await control.unhold(job_id)),
    reprioritize: async (job_id, priority) => orEnded(job_id, await control.reprioritize(job_id, priority)),
  };
};
