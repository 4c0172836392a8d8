import { sideEffectJob } from '../faults/ledger.js';
import type { Random } from '../faults/random.js';

/** What must stand in the record in the end, whatever died meanwhile. Undefined: nothing is said of it. */
interface Expected {
  state: 'completed' | 'failed' | 'cancelled';
  cause: string | null;
  exit_code?: number;
  /** How many attempts it took. */
  attempt?: number;
  /** Of the last attempt, where the job writes to its own end. */
  output?: { stdout: string; stderr: string };
}

export interface SoakJob {
  kind: Kind;
  spec: object;
  expected: Expected;
  /** It is cancelled so long after it was accepted. */
  cancel_after_ms?: number;
}

const KINDS = [
  'quick',
  'exit 7',
  'retried',
  'retried in vain',
  'timeout',
  'out of memory',
  'chatty',
  'cancelled',
  'slow',
] as const;
type Kind = (typeof KINDS)[number] | 'long';

/** How often each comes, in hundredths. */
const SHARES = [28, 12, 8, 4, 8, 6, 12, 10, 12];

const ASK = { cpus: 0.1, memory_mb: 16 };
const OOM = 'head -c 200m /dev/zero | tail';

/** What the two generators below and `toOutput` agree on: line `i` of a job that calls itself by `tag`. */
const toLine = (tag: string, i: number): string => `${tag} ${i} ${(i * 7919) % 10007} ä€`;

const toOutput = (tag: string, lines: number): { stdout: string; stderr: string } => {
  const numbers = Array.from({ length: lines }, (_, i) => i);
  return {
    stdout: numbers.map((i) => `${toLine(tag, i)}\n`).join(''),
    stderr: numbers.map((i) => `err ${toLine(tag, i)}\n`).join(''),
  };
};

/** All lines at once, by one program. */
const toBurst = (tag: string, lines: number): string =>
  `awk 'BEGIN { for (i = 0; i < ${lines}; i++) { l = "${tag} " i " " (i * 7919) % 10007 " ä€"; print l; print "err " l > "/dev/stderr" } }'`;

/** A line every so often. */
const toDrip = (tag: string, lines: number, pause_ms: number): string =>
  `i=0; while [ $i -lt ${lines} ]; do l="${tag} $i $((i * 7919 % 10007)) ä€"; echo "$l"; echo "err $l" >&2; usleep ${pause_ms * 1000}; i=$((i + 1)); done`;

const DRIP_MS = 250;

const withOutput = (expected: Expected, tag: string, lines: number): Expected => ({
  ...expected,
  output: toOutput(tag, lines),
});
const completed = { state: 'completed', cause: null, exit_code: 0 } as const;
const failed = (exit_code: number) => ({ state: 'failed', cause: 'exit_code', exit_code }) as const;
const retry = (max_attempts: number) => ({ max_attempts, backoff_seconds: 0.2, max_backoff_seconds: 1 });

const MAKERS: Record<(typeof KINDS)[number], (tag: string, random: Random) => Omit<SoakJob, 'kind'>> = {
  quick: (tag) => ({
    spec: sideEffectJob(toBurst(tag, 5), ASK),
    expected: withOutput({ ...completed, attempt: 1 }, tag, 5),
  }),
  'exit 7': (tag) => ({
    spec: sideEffectJob(`${toBurst(tag, 5)}; exit 7`, ASK),
    expected: withOutput({ ...failed(7), attempt: 1 }, tag, 5),
  }),
  retried: (tag) => ({
    spec: sideEffectJob(`${toBurst(tag, 3)}; [ $BERTH_ATTEMPT = 3 ] || exit 9`, { ...ASK, retry: retry(3) }),
    expected: withOutput({ ...completed, attempt: 3 }, tag, 3),
  }),
  'retried in vain': (tag) => ({
    spec: sideEffectJob(`${toBurst(tag, 3)}; exit 5`, { ...ASK, retry: retry(2) }),
    expected: withOutput({ ...failed(5), attempt: 2 }, tag, 3),
  }),
  timeout: (_, random) => ({
    spec: sideEffectJob('sleep 600', { ...ASK, timeout_seconds: random.between(1, 3), stop_grace_seconds: 1 }),
    expected: { state: 'failed', cause: 'timeout', attempt: 1 },
  }),
  'out of memory': () => ({
    spec: { ...ASK, command: OOM },
    expected: { state: 'failed', cause: 'out_of_memory', attempt: 1 },
  }),
  chatty: (tag, random) => {
    const lines = random.between(500, 5_000);
    return {
      spec: sideEffectJob(toBurst(tag, lines), ASK),
      expected: withOutput({ ...completed, attempt: 1 }, tag, lines),
    };
  },
  cancelled: (_, random) => ({
    spec: sideEffectJob('sleep 600', { ...ASK, stop_grace_seconds: 1 }),
    expected: { state: 'cancelled', cause: 'cancelled', attempt: 1 },
    cancel_after_ms: random.between(0, 8_000),
  }),
  slow: (tag, random) => {
    const lines = (random.between(10, 60) * 1_000) / DRIP_MS;
    const exit_code = random.pick([0, 0, 3]);
    const end = exit_code === 0 ? completed : failed(exit_code);
    return {
      spec: sideEffectJob(`${toDrip(tag, lines, DRIP_MS)}; exit ${exit_code}`, ASK),
      expected: withOutput({ ...end, attempt: 1 }, tag, lines),
    };
  },
};

/** Job number `i` of a soak. */
export const toSoakJob = (i: number, random: Random): SoakJob => {
  let place = random.between(0, 99);
  const kind = KINDS.find((_, at) => {
    place -= SHARES[at] ?? 0;
    return place < 0;
  });
  if (kind === undefined) throw new Error('the shares of the kinds of jobs are not a hundred in all');
  return { kind, ...MAKERS[kind](`job-${i}`, random) };
};

/** One that counts for so long; it survives every kill of its owner. */
export const toLongJob = (seconds: number): SoakJob => {
  const lines = (seconds * 1_000) / DRIP_MS;
  const spec = sideEffectJob(toDrip('long', lines, DRIP_MS), ASK);
  return { kind: 'long', spec, expected: withOutput({ ...completed, attempt: 1 }, 'long', lines) };
};
