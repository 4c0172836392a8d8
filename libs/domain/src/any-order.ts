import { type Asker, type Filling, listAskers, takeOne } from './fill.js';

/** How often a machine may be asked for all that is to be found out. It is shared by all questions, and counts down. */
export interface Budget {
  picks: number;
}

interface State {
  now: Filling;
  placed: string[];
}

/** What may come next where the job does not start at once; `is_settled`: nothing may. */
const listNext = ({ now, placed }: State, askers: readonly Asker[], job_id: string) => {
  const starts = askers.flatMap((asker) => takeOne(now, asker) ?? []);
  const next = starts
    .filter(({ started }) => started.job_id !== job_id)
    .map(({ started, ...then }): State => {
      const place = `${started.job_id}@${started.engine}/${started.gpu_uuids.join(',')}`;
      return { now: then, placed: [...placed, place].sort() };
    });
  return { next, is_settled: starts.length === 0 };
};

/**
 * Whether a job starts in whatever order the machines ask until nothing more can run: every order is tried, where two that have come to the same
 * are one. Undefined: there are more than the budget has room for.
 */
export const startsInAnyOrder = (from: Filling, job_id: string, budget: Budget): boolean | undefined => {
  const askers = listAskers(from.scene);
  const seen = new Set<string>();
  const open: State[] = [{ now: from, placed: [] }];
  for (let state = open.pop(); state; state = open.pop()) {
    budget.picks -= askers.length;
    if (budget.picks < 0) return undefined;
    const { next, is_settled } = listNext(state, askers, job_id);
    if (is_settled) return false;
    open.push(...next.filter(({ placed }) => !seen.has(placed.join(' '))));
    for (const { placed } of next) seen.add(placed.join(' '));
  }
  return true;
};
