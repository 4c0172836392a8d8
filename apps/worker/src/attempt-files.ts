import { type Outcome, toFinalState } from '@berth/domain';
import { type ArtifactSummary, type FileStore, FilesUnavailable, isUnavailable, type Uploads } from '@berth/store';
import { type Attempt, type AttemptContext, isStopped, type Played } from './attempt.js';
import { InputProblem } from './files/input-problem.js';
import { keepOutputs } from './files/keep-outputs.js';
import { findInputs, type Inputs, layInputs } from './files/lay-inputs.js';
import type { OutputLimits } from './files/pack-outputs.js';
import type { Hold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';
import { pause } from './waiting.js';

/** Where inputs come from and outputs go. */
export interface JobFiles {
  files: FileStore;
  uploads: Pick<Uploads, 'read'>;
  limits: OutputLimits;
}

/** A file store that is away is waited for so long before the job is given back. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 2_000;
/** A broker that is away is asked again after so long. */
const ASK_AGAIN_MS = 500;

/** Asks the record for as long as it does not answer and nothing is asked of the attempt. Throws InputProblem where an input is gone. */
export const findJobInputs = async (hold: Hold, { jobFiles, log }: AttemptContext): Promise<Inputs | 'stopped'> => {
  while (!isStopped(hold)) {
    try {
      return await findInputs(hold.claim, jobFiles.uploads);
    } catch (err) {
      if (!isUnavailable(err)) throw err;
      log.warn({ err }, 'could not look up the inputs of a job; trying again');
      await Promise.race([pause(ASK_AGAIN_MS), hold.left]);
    }
  }
  return 'stopped';
};

/** Says whether the store may be asked once more, when it does not answer. */
export const createPatience = () => {
  const until = performance.now() + PATIENCE_MS;
  return () => performance.now() < until;
};

/**
 * What the container is to find when it starts. `again`: the store did not answer, and the container is half full: with another one it may do. Throws
 * as `layInputs` does, FilesUnavailable once the patience is over.
 */
export const layJobInputs = async (
  hold: Hold,
  container: Container,
  { inputs, mayAskAgain }: { inputs: Inputs; mayAskAgain: () => boolean },
  { jobFiles, profileOf, log }: AttemptContext,
): Promise<'laid' | 'stopped' | 'again'> => {
  const { spec, class: className } = hold.claim;
  if (!spec.inputs?.length && !spec.outputs?.length) return 'laid';
  try {
    return await layInputs(hold, container, inputs, { files: jobFiles.files, profile: profileOf(className) });
  } catch (err) {
    if (!(err instanceof FilesUnavailable) || !mayAskAgain()) throw err;
    log.warn({ err }, 'the file store does not answer; trying again');
    await Promise.race([pause(AGAIN_MS), hold.requested, hold.left]);
    return isStopped(hold) ? 'stopped' : 'again';
  }
};

/** Of what the platform spoils nothing is kept: the job runs again. */
const SPOILT: ReadonlySet<Outcome['kind']> = new Set(['engine_restarted', 'node_lost', 'removed_externally']);

/** What the container has left, once it has ended. Undefined where nothing is to be kept; `left` where the attempt is another's by now. */
export const takeOutputs = async (
  { hold, container, begun }: Attempt,
  { outcome, stopped }: Played,
  { jobFiles: { files, limits }, log }: AttemptContext,
): Promise<ArtifactSummary | 'left' | undefined> => {
  if (!hold.claim.spec.outputs?.length || !begun || container === undefined) return undefined;
  const goes_back = stopped === true || toFinalState(outcome) !== 'completed';
  if (SPOILT.has(outcome.kind) || hold.request === 'over' || (goes_back && hold.request === 'release'))
    return undefined;
  return keepOutputs(hold, container, { files, limits, log, goes_back });
};

/** How an attempt ends whose inputs could not be laid: by its own fault, or, where the store is away, as if it had not been claimed. */
export const toPlayedWithoutInputs = (error: unknown): Played | undefined => {
  if (error instanceof InputProblem) {
    return { outcome: { kind: 'start_failed', message: error.message, exit_code: null }, evidence: null };
  }
  if (error instanceof FilesUnavailable) {
    const message = 'the file store, where its inputs are, was away';
    return { outcome: { kind: 'engine_restarted', message }, evidence: null, unbegun: true };
  }
  return undefined;
};
