import type { Report } from '@berth/verify';
import type { LongTale, Verdict } from './judge-jobs.js';
import type { Kills } from './kill-parts.js';
import type { Submissions, Submitted } from './submit-jobs.js';

export interface Soaked {
  submissions: Submissions;
  /** How many were to be submitted. */
  wanted: number;
  kills: Kills;
  verdict: Verdict;
  long: LongTale;
  report: Report;
  minutes: number;
}

const BAR = { jobs: 1_000, kills: 50, owners: 3 };

const countProblems = ({ findings }: Report, ...invariants: string[]): number =>
  findings.filter(({ invariant }) => invariants.includes(invariant)).reduce((sum, one) => sum + one.problems.length, 0);

const toKinds = (jobs: Submitted[]): string => {
  const counts = new Map<string, number>();
  for (const { kind } of jobs) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, number]) => `${number} ${kind}`).join(', ');
};

const sumKills = ({ worker, api, redis }: Kills): number => worker + api + redis;

const toRows = ({ submissions, wanted, kills, verdict, long, report }: Soaked): [string, number | string][] => [
  ['jobs', `${submissions.jobs.length} of ${wanted} accepted`],
  ['kinds', toKinds(submissions.jobs)],
  ['requests sent again', submissions.repeats],
  ['kill -9', `${sumKills(kills)}: ${kills.worker} worker, ${kills.api} API, ${kills.redis} Redis`],
  ['adoptions', verdict.adoptions],
  ['restarts by the platform', verdict.restarts],
  ['logs with a gap that they tell', verdict.gaps],
  [
    'the long job',
    `${long.state}, ${long.owners} owners, ${kills.owners} of them killed on purpose, epoch ${long.epochs}`,
  ],
  ['its log', long.identical ? 'identical, byte for byte' : 'NOT identical'],
  ['lost', countProblems(report, 'I1', 'I2') + wanted - submissions.jobs.length],
  ['doubled jobs', verdict.unasked],
  ['doubled side effects', countProblems(report, 'I4', 'I5')],
  ['orphans', countProblems(report, 'I3', 'I7', 'I8')],
  ['wrong causes', verdict.wrongEnds.length],
  ['wrong logs', verdict.wrongLogs.length],
];

/** Whether every promise was kept, however small the soak was. */
export const isKept = ({ submissions, wanted, verdict, long, report }: Soaked): boolean =>
  report.ok &&
  submissions.jobs.length === wanted &&
  submissions.refusals.length === 0 &&
  verdict.unasked === 0 &&
  verdict.wrongEnds.length === 0 &&
  verdict.wrongLogs.length === 0 &&
  long.identical &&
  long.epochs === 1;

const toBarText = (soaked: Soaked): string => {
  const { submissions, kills } = soaked;
  const isBig = submissions.jobs.length >= BAR.jobs && sumKills(kills) >= BAR.kills && kills.owners >= BAR.owners;
  if (!isKept(soaked)) return 'VIOLATED: see above.';
  if (isBig) return `All kept, and the bar of ${BAR.jobs} jobs and ${BAR.kills} kills is met.`;
  return `All kept. The bar is ${BAR.jobs} jobs and ${BAR.kills} kills: this was a smaller soak.`;
};

/** For people: what verify found, what is wrong, the table, and the bar. */
export const toSummary = (soaked: Soaked): string => {
  const { submissions, verdict, report } = soaked;
  const problems = [
    ...submissions.refusals.map((text) => `refused: ${text}`),
    ...verdict.wrongEnds.map((text) => `wrong end: ${text}`),
    ...verdict.wrongLogs.map((text) => `wrong log: ${text}`),
  ];
  const rows = toRows(soaked).map(([name, value]) => `  ${name.padEnd(32)}${value}`);
  return ['', ...report.lines, ...problems, '', ...rows, '', toBarText(soaked)].join('\n');
};
