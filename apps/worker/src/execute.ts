import {
  type CommandRequest,
  findClass,
  isTerminal,
  type JobSpec,
  jobSpecSchema,
  type Parsed,
  type ResourceClass,
  toAsk,
  toCommandSpec,
  toFailureReason,
  withLine,
} from '@berth/domain';
import type { Claims, JobRecord, LogStore, NewJob, Store } from '@berth/store';
import type { JobEnds } from './job-ends.js';
import type { RunningWorker } from './worker.js';

/** The runner's answer, when the command has ended. */
export interface Execution {
  exit_code: number;
  stdout: string;
  stderr: string;
  runtime_ms: number;
}

/** The runner's word for every end that is no exit. */
const NO_EXIT_CODE = -1;
/** The end of each stream, where there is more: the answer is one JSON text. */
const MAX_OUTPUT_BYTES = 12 * 1024 * 1024;

export interface ExecutorOptions {
  /** Fails soon where the broker is away: somebody waits for the answer. */
  store: Pick<Store, 'jobs' | 'logs'>;
  claims: Pick<Claims, 'claim'>;
  worker: Pick<RunningWorker, 'run' | 'claimant'>;
  ends: JobEnds;
  classes: ResourceClass[];
  defaultImage: string;
}

interface Command {
  request: CommandRequest;
  spec: JobSpec;
  user: string;
}

/** Undefined: whoever asked has gone. */
export type Execute = (
  request: CommandRequest,
  user: string,
  signal: AbortSignal,
) => Promise<Parsed<Execution | undefined>>;

const toNewJob = ({ request, spec, user }: Command, c: ResourceClass): NewJob => ({
  spec,
  user,
  ask: toAsk(spec),
  class: c.name,
  across_users: c.priority_across_users,
  format: 'coordinator',
  request: { ...request },
});

/**
 * Runs a command while its caller waits. Each is a job like any other, in the coordinator's format, so that nothing runs unrecorded
 * and the machine is never overbooked. This worker claims it at once; where it has no room, or is beaten to it, the job goes the way
 * of all others, and its end is waited for here. A caller that goes away before its job has begun takes the job along: nobody would
 * read what it wrote.
 */
export const createExecutor = (options: ExecutorOptions): Execute => {
  const { store, claims, worker, ends, classes, defaultImage } = options;

  const accept = async (command: Command): Promise<string> => {
    const found = findClass(classes, toAsk(command.spec));
    if (!found) throw new Error('no resource class holds even a small command');
    const { job_id } = await store.jobs.accept(toNewJob(command, found));
    return job_id;
  };

  const runHere = async (job_id: string): Promise<JobRecord | null> => {
    const reply = await claims.claim(job_id, worker.claimant);
    if (reply.kind !== 'claimed') return null;
    await worker.run(reply.claim);
    const job = await store.jobs.read(job_id);
    return job && isTerminal(job.state) ? job : null;
  };

  const dropUnlessBegun = async (job_id: string): Promise<void> => {
    const job = await store.jobs.read(job_id);
    if (job?.state === 'pending') await store.jobs.cancel(job_id);
  };

  const run = async (command: Command, signal: AbortSignal): Promise<JobRecord | null> => {
    const job_id = await accept(command);
    const drop = () => void dropUnlessBegun(job_id).catch(() => {});
    signal.addEventListener('abort', drop);
    try {
      return (await runHere(job_id)) ?? (await ends.waitFor(job_id, signal));
    } finally {
      signal.removeEventListener('abort', drop);
    }
  };

  return async (request, user, signal) => {
    const parsed = jobSpecSchema.safeParse(toCommandSpec(request));
    if (!parsed.success) return { details: parsed.error.issues.map((issue) => toDetail(issue.message)) };
    const job = await run({ request, spec: { ...parsed.data, image: defaultImage }, user }, signal);
    if (job === null) return { value: undefined };
    return { value: toExecution(job, await readOutput(store.logs, job, MAX_OUTPUT_BYTES)) };
  };
};

const toDetail = (message: string) => ({
  type: 'value_error',
  loc: ['body', 'command'],
  msg: `Value error, ${message}`,
  input: null,
});

interface Output {
  stdout: string;
  stderr: string;
}

const readOutput = async (logs: LogStore, job: JobRecord, max_bytes: number): Promise<Output> => {
  const { stdout, stderr } = await logs.readTails(job.job_id, job.attempt, max_bytes);
  return { stdout: stdout.bytes.toString('utf8'), stderr: stderr.bytes.toString('utf8') };
};

/** A job that has ended, in the runner's words. */
export const toExecution = (job: JobRecord, { stdout, stderr }: Output): Execution => {
  const runtime_ms = Math.max(0, (job.finished_at ?? 0) - (job.started_at ?? job.finished_at ?? 0));
  if (job.cause === null || job.cause === 'exit_code') {
    return { exit_code: job.exit_code ?? NO_EXIT_CODE, stdout, stderr, runtime_ms };
  }
  if (job.cause === 'timeout') {
    const notice = `Command timed out after ${job.spec.timeout_seconds} seconds\n`;
    return { exit_code: NO_EXIT_CODE, stdout, stderr: `${notice}${stderr}`, runtime_ms };
  }
  const reason = `Execution error: ${toFailureReason(job.cause, job.message)}`;
  return { exit_code: job.exit_code || NO_EXIT_CODE, stdout, stderr: withLine(stderr, reason), runtime_ms };
};
