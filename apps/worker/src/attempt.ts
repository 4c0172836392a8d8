import {
  type Evidence,
  type ExitReport,
  endedAfterStop,
  type Intent,
  type JobSpec,
  type Outcome,
  type Profile,
  toEvidence,
  toOutcome,
} from '@berth/domain';
import type { Claim, Claims, LogStore } from '@berth/store';
import type { Logger } from 'pino';
import type { JobFiles } from './attempt-files.js';
import type { Hold } from './hold.js';
import type { Leases } from './leases.js';
import { type Output, openOutput } from './output.js';
import type { OutputBudget } from './output-budget.js';
import type { Container, ContainerRuntime } from './runtime/container-runtime.js';
import { watch } from './watch-container.js';

export interface AttemptContext {
  runtime: ContainerRuntime;
  claims: Claims;
  logs: LogStore;
  leases: Leases;
  node: string;
  /** Marks our containers on the engine: the name of this installation. */
  installation: string;
  logLimitBytes: number;
  jobFiles: JobFiles;
  /** Shared by the output of all jobs. */
  outputBudget?: OutputBudget;
  profileOf: (className: string) => Profile;
  /** The machine's GPUs are on paper only. */
  fakeGpus: boolean;
  /** The engine did not do what it was asked to. */
  onEngineFault: () => void;
  log: Logger;
}

/** What is known of an attempt so far. */
export interface Attempt {
  readonly hold: Hold;
  output: Output;
  image_digest: string | null;
  /** The record has taken note of the start. */
  noted: Promise<unknown>;
  container: Container | undefined;
  /** Its container has been started. */
  begun: boolean;
}

export interface Played {
  outcome: Outcome;
  evidence: Evidence | null;
  /** The engine was away before anything ran: the job goes back as if it had not been claimed. */
  unbegun?: boolean;
  /** It ended once we had told it to. */
  stopped?: boolean;
}

export const openAttemptOutput = (
  claim: Claim,
  { logs, log, logLimitBytes, outputBudget }: AttemptContext,
  from?: StoredOutput,
): Output =>
  openOutput({
    claim,
    limitBytes: logLimitBytes,
    logs,
    log,
    workloadLines: claim.format === 'workload',
    budget: outputBudget,
    ...(from ? { from } : {}),
  });

type StoredOutput = Awaited<ReturnType<LogStore['readPosition']>>;

/** The way to the end of a started container. */
interface Watched {
  context: AttemptContext;
  ran_ms: number;
  deadline_ms: number;
}

export const watchToEnd = async (
  attempt: Attempt,
  container: Container,
  watched: Watched,
): Promise<Played | 'left'> => {
  const { context, ran_ms, deadline_ms } = watched;
  attempt.begun = true;
  const ended = await watch(attempt.hold, container, { ran_ms, claims: context.claims, log: context.log });
  if (ended === 'left') return 'left';
  const { hold } = attempt;
  const circumstances = {
    intent: toIntent(hold),
    deadline_ms: toTimeIsUp(ended, hold.claim.spec) ?? deadline_ms,
    stopped_at_ms: hold.stopped_at_ms,
  };
  return {
    outcome: toOutcome(ended, circumstances),
    evidence: toEvidence(ended, circumstances),
    stopped: endedAfterStop(ended, circumstances),
  };
};

/** A worker that died with the broker away may have stopped it for its time without a word in the record: whoever did, its time was up. */
const toTimeIsUp = (report: ExitReport, { timeout_seconds }: Pick<JobSpec, 'timeout_seconds'>): number | undefined =>
  report.kind === 'exited' && report.started_at !== null ? report.started_at + timeout_seconds * 1000 : undefined;

export const noteStart = async (attempt: Attempt, { claims, log }: AttemptContext): Promise<void> => {
  const { hold, image_digest } = attempt;
  try {
    const reply = await claims.start(hold.claim, image_digest ?? '');
    if (reply === 'cancel') hold.ask('cancel');
  } catch (err) {
    log.warn({ err, job_id: hold.claim.job_id }, 'could not note the start');
  }
};

export const isStopped = (hold: Hold): boolean => hold.request !== undefined || hold.leave !== undefined;

export const toStopped = ({ request, leave }: Hold): Played | 'left' => {
  if (leave !== undefined) return 'left';
  const outcome: Outcome = request === 'cancel' ? { kind: 'cancelled', exit_code: null } : { kind: 'engine_restarted' };
  return { outcome, evidence: null };
};

export const toIntent = ({ request, timed_out }: Hold): Intent | undefined => {
  if (request === 'cancel') return 'cancel';
  return timed_out ? 'timeout' : undefined;
};
