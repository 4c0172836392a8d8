import { AppError, isBatchPlace, type Problem } from '@berth/domain';
import { createJobId } from '@berth/store';
import { toAppError } from './errors.js';
import type { Jobs, Submitted } from './jobs.js';

/** So many are on their way to Redis at a time: each must be answered within a request's patience. */
const WINDOW = 250;

type Settled = PromiseSettledResult<Submitted>;

/** An entry, and the places of those entries before it that it is to run after. */
interface Entry {
  input: unknown;
  place: number;
  parents: number[];
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** What an entry says of other entries, before anybody has looked whether the rest of it makes sense. */
const toPlaces = (input: unknown): { place: number; at: number }[] => {
  const after = isRecord(input) && Array.isArray(input.after) ? input.after : [];
  return after.flatMap((one: unknown, at: number) =>
    isRecord(one) && isBatchPlace(one.job) ? [{ place: Number(one.job.slice(1)), at }] : [],
  );
};

const toEntry = (input: unknown, place: number): Entry => ({
  input,
  place,
  parents: toPlaces(input).map((one) => one.place),
});

const refuse = (code: 'invalid_request' | 'dependency_not_found', message: string, problems: Problem[]): AppError =>
  new AppError(code, message, { problems });

/** The input with ids instead of places. Throws AppError where a place is not one before it, or was refused. */
const resolve = ({ input, place }: Entry, ids: readonly (string | undefined)[]): unknown => {
  const named = toPlaces(input);
  const late = named.filter((one) => one.place >= place);
  if (late.length > 0) {
    const problems = late.map(({ at }) => ({ path: `$.after[${at}].job`, message: 'must name an earlier entry' }));
    throw refuse('invalid_request', 'An entry can only run after entries that stand before it.', problems);
  }
  const lost = named.filter((one) => ids[one.place] === undefined);
  if (lost.length > 0) throw toParentRefused(lost);
  if (named.length === 0) return input;
  const byPlace = new Map(named.map((one) => [one.at, ids[one.place]]));
  const { after, ...rest } = input as { after: Record<string, unknown>[] };
  return { ...rest, after: after.map((one, at) => (byPlace.has(at) ? { ...one, job: byPlace.get(at) } : one)) };
};

const toParentRefused = (lost: { place: number; at: number }[]): AppError =>
  refuse(
    'dependency_not_found',
    'An entry that it is to run after was refused.',
    lost.map(({ place, at }) => ({ path: `$.after[${at}].job`, message: `names entry #${place}, which was refused` })),
  );

const settle = async (submitted: Promise<Submitted>): Promise<Settled> => (await Promise.allSettled([submitted]))[0];

const codeOf = (one: Settled | undefined): string | undefined =>
  one?.status === 'rejected' ? toAppError(one.reason).code : undefined;

/**
 * Submits the entries of a batch in order, a window of them at a time, up to the first window that Redis did not answer for: the rest would
 * wait in vain as well. Each is accepted or refused on its own, but one that is to run after a refused one is refused too.
 *
 * Ids are given out before anything is sent, so that the entries of a window need not wait for each other: over one connection they
 * arrive in the order in which they were sent, a parent before its dependants. Should a broker that was just started not know the script
 * yet, some are sent again and come late; then their dependants are submitted once more, one by one.
 */
export const submitBatch = async <T>(
  jobs: Pick<Jobs, 'submit'>,
  { inputs, user }: { inputs: unknown[]; user: string },
  toResult: (settled: Settled) => T,
): Promise<{ results: T[]; fault: unknown }> => {
  const ids: (string | undefined)[] = [];
  const results: T[] = [];
  let fault: unknown;

  const submit = async (entry: Entry): Promise<Submitted> => {
    const job_id = ids[entry.place];
    return jobs.submit(resolve(entry, ids), { user, ...(job_id === undefined ? {} : { job_id }) });
  };
  const isLate = (entry: Entry, settled: Settled | undefined): boolean =>
    codeOf(settled) === 'dependency_not_found' && entry.parents.length > 0;

  /** In order, so that each finds its parents' fate decided. */
  const submitWindow = async (entries: Entry[]): Promise<Settled[]> => {
    const settled = await Promise.all(entries.map((entry) => settle(submit(entry))));
    for (const [i, entry] of entries.entries()) {
      if (isLate(entry, settled[i])) settled[i] = await settle(submit(entry));
      if (settled[i]?.status === 'rejected') ids[entry.place] = undefined;
    }
    return settled;
  };

  for (let at = 0; at < inputs.length; at += WINDOW) {
    const entries = inputs.slice(at, at + WINDOW).map((input, i) => toEntry(input, at + i));
    const now = Date.now();
    for (const { place } of entries) ids[place] = createJobId(now);
    const settled = await submitWindow(entries);
    for (const one of settled) if (one.status === 'rejected' && !(one.reason instanceof AppError)) fault ??= one.reason;
    results.push(...settled.map(toResult));
    if (settled.some((one) => codeOf(one) === 'unavailable')) break;
  }
  return { results, fault };
};
