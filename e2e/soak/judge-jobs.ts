import type { JobEvent } from '@berth/domain';
import type { JobRecord, LogEntry, Store } from '@berth/store';
import type { Submitted } from './submit-jobs.js';

/** What became of the jobs, beside what `verify` looks at: each one's end against the end that it was made for. */
export interface Verdict {
  /** In words, one a job. */
  wrongEnds: string[];
  wrongLogs: string[];
  /** Jobs whose stored output says itself that something is missing. */
  gaps: number;
  adoptions: number;
  /** Epochs that ended with their worker, their engine or an early death of both. */
  restarts: number;
  /** Jobs that are there and that nobody asked for: one key, two jobs. */
  unasked: number;
}

const readEntries = async (store: Store, { job_id, attempt }: JobRecord): Promise<LogEntry[]> => {
  const all: LogEntry[] = [];
  for (let after: string | undefined; ; after = all.at(-1)?.id) {
    const page = await store.logs.readAfter(job_id, after);
    if (page.length === 0) break;
    all.push(...page);
  }
  const ofAttempt = all.filter((entry) => entry.attempt === attempt);
  return ofAttempt.slice(ofAttempt.findLastIndex((entry) => entry.anew) + 1);
};

const toText = (entries: LogEntry[], stream: string): string =>
  Buffer.concat(entries.filter((entry) => entry.stream === stream).map(({ bytes }) => bytes)).toString();

const findWrongEnd = ({ job_id, kind, expected }: Submitted, record: JobRecord): string | undefined => {
  const { state, cause, exit_code, attempt } = record;
  const { output: _, ...wanted } = expected;
  const found = { state, cause, exit_code, attempt };
  const isSo = Object.entries(wanted).every(([name, value]) => found[name as keyof typeof found] === value);
  if (isSo) return undefined;
  const ends = record.attempts.map((end) => `epoch ${end.epoch}: ${end.cause ?? 'completed'} ${end.exit_code ?? ''}`);
  return `${job_id} (${kind}) should be ${JSON.stringify(wanted)} and is ${JSON.stringify(found)}: ${ends.join(', ')}`;
};

type Log = { wrong: string | undefined; hasGap: boolean };

const judgeLog = async (store: Store, { job_id, kind, expected }: Submitted, record: JobRecord): Promise<Log> => {
  const entries = await readEntries(store, record);
  const hasGap = entries.some(({ stream }) => stream === 'note');
  const { output } = expected;
  if (output === undefined || record.state !== expected.state || hasGap) return { wrong: undefined, hasGap };
  const wrong = (['stdout', 'stderr'] as const).filter((stream) => toText(entries, stream) !== output[stream]);
  if (wrong.length === 0) return { wrong: undefined, hasGap };
  const sizes = wrong.map((stream) => {
    const text = toText(entries, stream);
    const place = [...text].findIndex((character, i) => character !== [...output[stream]][i]);
    return `${stream} has ${text.length} of ${output[stream].length} characters, and differs from ${place < 0 ? 'its end' : place} on`;
  });
  return { wrong: `${job_id} (${kind}): ${sizes.join('; ')}`, hasGap };
};

const count = (history: JobEvent[], type: JobEvent['type']): number =>
  history.filter((event) => event.type === type).length;

export const judgeJobs = async (store: Store, jobs: Submitted[]): Promise<Verdict> => {
  const verdict: Verdict = { wrongEnds: [], wrongLogs: [], gaps: 0, adoptions: 0, restarts: 0, unasked: 0 };
  for (const job of jobs) {
    const record = await store.jobs.read(job.job_id);
    if (record === null) continue;
    const history = await store.jobs.readHistory(job.job_id);
    verdict.adoptions += count(history, 'adopted');
    verdict.restarts += count(history, 'lost');
    const wrong = findWrongEnd(job, record);
    if (wrong !== undefined) verdict.wrongEnds.push(wrong);
    const log = await judgeLog(store, job, record);
    if (log.wrong !== undefined) verdict.wrongLogs.push(log.wrong);
    if (log.hasGap) verdict.gaps += 1;
  }
  const all = await store.list.countByState(['pending', 'running', 'completed', 'failed', 'cancelled']);
  verdict.unasked = Object.values(all).reduce((sum, n) => sum + n, 0) - new Set(jobs.map((job) => job.job_id)).size;
  return verdict;
};

export interface LongTale {
  state: string;
  epochs: number;
  owners: number;
  /** Whether both streams are stored byte for byte, with nothing left out. */
  identical: boolean;
}

export const readLongTale = async (store: Store, long: Submitted): Promise<LongTale> => {
  const record = await store.jobs.read(long.job_id);
  if (record === null) return { state: 'lost', epochs: 0, owners: 0, identical: false };
  const history = await store.jobs.readHistory(long.job_id);
  const entries = await readEntries(store, record);
  const { output } = long.expected;
  const identical =
    toText(entries, 'stdout') === output?.stdout &&
    toText(entries, 'stderr') === output.stderr &&
    toText(entries, 'note') === '';
  return { state: record.state, epochs: record.epoch, owners: 1 + count(history, 'adopted'), identical };
};
