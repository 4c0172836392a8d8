import { setTimeout as delay } from 'node:timers/promises';
import type { JobEvent } from '@berth/domain';
import { createStore, type FileStore, type JobRecord } from '@berth/store';
import type Docker from 'dockerode';
import type { Redis } from 'ioredis';
import { checkAccepted } from './accepted.js';
import { checkAttempts } from './attempts.js';
import { checkContainers } from './containers.js';
import type { EngineEvent, LedgerLine, Observation } from './evidence.js';
import { checkIntervals } from './intervals.js';
import { readStories } from './jobs.js';
import { checkLedger } from './ledger.js';
import { checkLeftovers } from './leftovers.js';
import { checkLog } from './log.js';
import { checkObserved } from './observed.js';
import { checkAnnouncedEnds, checkOneEnd } from './one-end.js';
import { type Finding, type Invariant, type Report, toReport } from './report.js';
import { checkReserved } from './reserved.js';
import { readAnnounced, readContainers, readEntries, readLeftovers, readReservations, type System } from './system.js';

export interface VerifyOptions {
  redis: Redis;
  /** Where sealed logs are: I9 reads them. */
  files?: FileStore | undefined;
  prefix: string;
  engines: Docker[];
  /** The system should be at rest: every job has ended, nothing is reserved, queued or left. */
  settled: boolean;
  /** Ids that were answered 2xx. */
  accepted?: string[] | undefined;
  ledger?: LedgerLine[] | undefined;
  /** No fault was injected: each attempt of a job that writes to the ledger has done so exactly once. */
  faultFree?: boolean | undefined;
  events?: EngineEvent[] | undefined;
  observed?: Observation[] | undefined;
  /** The true stdout of a job's last attempt, where it is known. */
  expectedLog?: ((job: JobRecord) => Buffer | undefined) | undefined;
  /** How long a running container may be without a running job before it counts, while the system is under way. Default: 30 s. */
  patience_ms?: number | undefined;
}

interface Jobs {
  records: Map<string, JobRecord>;
  histories: Map<string, JobEvent[]>;
  ends: string[];
  attempts: string[];
}

/** Checks I1 to I10. It only reads, so it may be run against a system in use; then give `settled: false`. */
export const verify = async (options: VerifyOptions): Promise<Report> => {
  const store = createStore(options.redis, options.prefix, options.files);
  const system: System = { engines: options.engines, redis: options.redis, store };
  const early = options.settled ? [] : await findStrays(system, options.patience_ms ?? PATIENCE_MS);
  const jobs = await readJobs(system);
  const count = toCount(jobs.records.size, 'job');
  const installation = await options.redis.get(store.keys.installation);
  const events = options.events?.filter((event) => event.installation === installation);
  const { accepted, ledger, observed, expectedLog, settled } = options;
  return toReport([
    toFinding('I1', [...jobs.ends, ...checkAnnouncedEnds(await collect(readAnnounced(system)))], count),
    toFinding('I2', accepted && checkAccepted(accepted, jobs.records, settled), toGiven(accepted, 'accepted job')),
    settled ? await checkContainersAtRest(system, jobs) : toFinding('I3', early, 'while under way'),
    toFinding('I4', events && checkIntervals(events), toGiven(events, 'engine event')),
    toFinding(
      'I5',
      ledger && checkLedger(ledger, jobs.records, options.faultFree ?? false),
      toGiven(ledger, 'side effect'),
    ),
    toFinding('I6', jobs.attempts, count),
    toFinding('I7', await checkReservations(system, settled), settled ? 'at rest' : 'while under way'),
    toFinding('I8', settled ? await checkNothingLeft(system, jobs) : undefined, settled ? 'at rest' : 'only at rest'),
    await checkLogs(system, jobs, expectedLog),
    toFinding('I10', observed && checkObserved(observed, jobs.histories), toGiven(observed, 'observed state')),
  ]);
};

const PATIENCE_MS = 30_000;
const LOOK_MS = 1_000;
const RESERVED_TRIES = 20;

const toCount = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;
const toGiven = (items: unknown[] | undefined, what: string): string =>
  items === undefined ? `no ${what}s were given` : toCount(items.length, what);

const toFinding = (invariant: Invariant, problems: string[] | undefined, note: string): Finding => {
  if (problems === undefined) return { invariant, state: 'unchecked', note, problems: [] };
  return { invariant, state: problems.length > 0 ? 'violated' : 'ok', note, problems };
};

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

const readJobs = async ({ store }: System): Promise<Jobs> => {
  const jobs: Jobs = { records: new Map(), histories: new Map(), ends: [], attempts: [] };
  for await (const story of readStories(store)) {
    jobs.records.set(story.record.job_id, story.record);
    jobs.histories.set(story.record.job_id, story.history);
    jobs.ends.push(...checkOneEnd(story));
    jobs.attempts.push(...checkAttempts(story));
  }
  return jobs;
};

const checkContainersAtRest = async (system: System, { records }: Jobs): Promise<Finding> => {
  const containers = await readContainers(system);
  return toFinding(
    'I3',
    checkContainers(containers, records, Date.now()).problems,
    toCount(containers.length, 'container'),
  );
};

/** While the system is under way, a container counts as stray only where it was so each time that we looked. */
const findStrays = async (system: System, patience_ms: number): Promise<string[]> => {
  let suspects: Set<string> | undefined;
  for (const deadline = Date.now() + patience_ms; ; await delay(LOOK_MS)) {
    const containers = await readContainers(system);
    const ids = [...new Set(containers.map(({ job_id }) => job_id))];
    const records = new Map((await system.store.jobs.readMany(ids)).map((record) => [record.job_id, record]));
    const { stray, problems } = checkContainers(containers, records, Date.now());
    const known = suspects;
    suspects = new Set(stray.map(({ id }) => id).filter((id) => known?.has(id) ?? true));
    const overdue = problems.filter((text) => text.includes('past its deadline'));
    if (overdue.length > 0) return overdue;
    if (suspects.size === 0) return [];
    if (Date.now() >= deadline) return problems;
  }
};

/** Ledger and jobs are read one after the other; they count as different where they never agreed. */
const checkReservations = async (system: System, settled: boolean): Promise<string[]> => {
  for (let tries = 1; ; tries += 1) {
    const problems = checkReserved(await readReservations(system, Date.now()), settled);
    if (problems.length === 0 || settled || tries === RESERVED_TRIES) return problems;
    await delay(LOOK_MS / 10);
  }
};

const checkNothingLeft = async (system: System, { records }: Jobs): Promise<string[]> => {
  const classes = new Set([...records.values()].map((job) => job.class));
  return checkLeftovers(await readLeftovers(system, classes));
};

const checkLogs = async (
  system: System,
  { records }: Jobs,
  expectedLog: VerifyOptions['expectedLog'],
): Promise<Finding> => {
  if (expectedLog === undefined) return toFinding('I9', undefined, 'no true output was given');
  const problems: string[] = [];
  let checked = 0;
  for (const [job_id, job] of records) {
    const expected = expectedLog(job);
    const attempt = job.attempts.at(-1)?.attempt;
    if (expected === undefined || attempt === undefined) continue;
    checked += 1;
    const whole = job.state === 'completed' || job.cause === 'exit_code';
    problems.push(...checkLog({ job_id, entries: await readEntries(system, job_id, attempt), expected, whole }));
  }
  return toFinding('I9', problems, toCount(checked, 'log'));
};
