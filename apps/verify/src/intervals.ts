import type { EngineEvent } from './evidence.js';

interface Interval {
  from: number;
  /** Infinity: it still runs. */
  to: number;
  container: string;
  epoch: number;
}

/** A busy engine may tell of its own thaw so long before it tells of the KILL that came first. */
const THAW_MS = 500;

/** What is paused dies of KILL only once it is thawed, so its engine does that by itself; no instruction of the job runs any more. */
const withoutThaws = (events: EngineEvent[]): EngineEvent[] => {
  const killed_at = Math.min(...events.filter(({ action }) => action === 'kill').map(({ at_ms }) => at_ms));
  return events.filter(
    ({ action, at_ms }) => action !== 'kill' && !(action === 'unpause' && at_ms > killed_at - THAW_MS),
  );
};

/** From start to end without the times when it was paused: when instructions of the job really ran. */
const toRunning = (events: EngineEvent[]): Interval[] => {
  const intervals: Interval[] = [];
  let from: number | undefined;
  for (const { action, at_ms, container, epoch } of events) {
    if (action === 'start' || action === 'unpause') from ??= at_ms;
    if (action === 'create' || action === 'start' || action === 'unpause' || from === undefined) continue;
    intervals.push({ from, to: at_ms, container, epoch });
    from = undefined;
  }
  const last = events.at(-1);
  if (from !== undefined && last)
    intervals.push({ from, to: Number.POSITIVE_INFINITY, container: last.container, epoch: last.epoch });
  return intervals;
};

/** Where an engine notes the end of a container and the start of the next at one and the same time, clocks are not exact. */
const CLOCK_MS = 1;

/** I4: no two containers of one job run at a time, on whatever engines, and none is started twice. */
export const checkIntervals = (events: EngineEvent[]): string[] => {
  const problems: string[] = [];
  for (const [job_id, ofJob] of groupBy(events, (event) => event.job_id)) {
    const intervals: Interval[] = [];
    for (const [container, ofContainer] of groupBy(ofJob, (event) => event.container)) {
      const ordered = ofContainer.toSorted((a, b) => a.at_ms - b.at_ms);
      const starts = ordered.filter(({ action }) => action === 'start').length;
      if (starts > 1) problems.push(`${job_id} container ${container.slice(0, 12)} was started ${starts} times`);
      intervals.push(...toRunning(withoutThaws(ordered)));
    }
    problems.push(...findOverlaps(job_id, intervals));
  }
  return problems;
};

const findOverlaps = (job_id: string, intervals: Interval[]): string[] => {
  const ordered = intervals.toSorted((a, b) => a.from - b.from);
  const problems: string[] = [];
  let latest: Interval | undefined;
  for (const interval of ordered) {
    if (latest && latest.container !== interval.container && interval.from < latest.to - CLOCK_MS) {
      const for_ms = Math.min(interval.to, latest.to) - interval.from;
      const long = Number.isFinite(for_ms) ? `for ${Math.round(for_ms)} ms` : 'to this moment';
      problems.push(`${job_id} ran in epochs ${latest.epoch} and ${interval.epoch} at a time, ${long}`);
    }
    if (!latest || interval.to > latest.to) latest = interval;
  }
  return problems;
};

const groupBy = <T>(items: T[], toKey: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = toKey(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
};
