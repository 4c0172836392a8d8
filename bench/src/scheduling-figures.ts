import type { Figure } from './figure.js';
import type { Backlog, PickTimes, Room } from './pick-time.js';
import { median, medianRatio } from './statistics.js';
import type { SubmitTimes } from './submit-at-depth.js';

/** How much slower anything may be among very many waiting jobs than among few. */
const FLAT = 1.3;

export const toCount = (n: number): string => n.toLocaleString('en');

const WORDS: Record<Room, string> = {
  any: 'any job fits',
  smallest: 'only the smallest shape fits',
  none: 'nothing fits, each call of the script',
};

/** `runs`: of each round, the times of each backlog. */
export const toPickFigures = (backlogs: Backlog[], room: Room, runs: PickTimes[][]): Figure[] => {
  const of = (i: number, read: (times: PickTimes) => number): number[] =>
    runs.map((round) => read(round[i] as PickTimes));
  const figures = backlogs.map(({ pending }, i): Figure => {
    const p99 = of(i, ({ p99_us }) => p99_us / 1_000);
    const [p50, calls] = [median(of(i, ({ p50_us }) => p50_us)), median(of(i, (times) => times.calls))];
    const note = `p50 ${p50.toFixed(0)} µs${calls > 1 ? `, ${calls} calls a draw` : ''}`;
    const target = pending === 100_000 ? { target: { at_most: 1 } } : {};
    return {
      name: `pick, p99, ${toCount(pending)} pending, ${WORDS[room]}`,
      value: median(p99),
      unit: 'ms',
      ...target,
      rounds: p99,
      note,
    };
  });
  const [first, last] = [backlogs[0], backlogs.at(-1)];
  if (!first || !last || first === last) return figures;
  const toRatio = (name: string, read: (times: PickTimes) => number): Figure => {
    const [many, few] = [of(backlogs.length - 1, read), of(0, read)];
    return {
      name: `pick, ${name}, ${toCount(last.pending)} / ${toCount(first.pending)} pending, ${WORDS[room]}`,
      value: medianRatio(many, few),
      unit: '×',
      target: { at_most: FLAT },
      rounds: many.map((value, i) => value / (few[i] ?? Number.NaN)),
    };
  };
  return [toRatio('p50', ({ p50_us }) => p50_us), toRatio('p99', ({ p99_us }) => p99_us), ...figures];
};

/** `names`: how many wait. */
export const toSubmitFigures = (few: SubmitTimes[], many: SubmitTimes[], names: [string, string]): Figure[] => {
  const toRatio = (name: string, read: (times: SubmitTimes) => number): Figure => ({
    name: `POST /v1/jobs, ${name}, ${names[1]} / ${names[0]} pending`,
    value: medianRatio(many.map(read), few.map(read)),
    unit: '×',
    target: { at_most: FLAT },
    rounds: many.map((times, i) => read(times) / read(few[i] as SubmitTimes)),
  });
  const toTime = (name: string, runs: SubmitTimes[]): Figure => {
    const p99 = runs.map(({ p99_ms }) => p99_ms);
    const note = `p50 ${median(runs.map(({ p50_ms }) => p50_ms)).toFixed(1)} ms`;
    return { name: `POST /v1/jobs, p99, ${name} pending`, value: median(p99), unit: 'ms', rounds: p99, note };
  };
  return [
    toRatio('p99', ({ p99_ms }) => p99_ms),
    toRatio('p50', ({ p50_ms }) => p50_ms),
    toTime(names[0], few),
    toTime(names[1], many),
  ];
};
