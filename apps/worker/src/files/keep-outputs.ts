import { type ArtifactSummary, type FileStore, FilesUnavailable, objectNames } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold } from '../hold.js';
import { type Container, RuntimeFault } from '../runtime/container-runtime.js';
import { pause } from '../waiting.js';
import { collectOutputs } from './collect-outputs.js';
import type { OutputLimits } from './pack-outputs.js';
import { BadArchive } from './read-tar.js';

interface Keeping {
  files: Pick<FileStore, 'put'>;
  limits: OutputLimits;
  log: Logger;
  /** Told to kill, the worker gives the job back, and nothing of the attempt is kept. */
  goes_back: boolean;
}

/** A store or an engine that goes away is waited for so long, and anew where it was there for longer. The job stays running, and its container stays. */
const PATIENCE_MS = 60_000;
const AGAIN_MS = 2_000;
/** However fast or slow it goes on. */
const LIMIT_MS = 3_600_000;

const nothing = (epoch: number, note: string): ArtifactSummary => ({
  epoch,
  files: 0,
  bytes: 0,
  refused: 0,
  notes: [note],
});

const isForNow = (error: unknown): boolean =>
  error instanceof FilesUnavailable ||
  error instanceof BadArchive ||
  (error instanceof RuntimeFault && error.code === 'engine_unavailable');

/** Breaks off when the attempt is to be left or is over, and on a cancel that comes only now: whoever cancels does not want to wait for it. */
const watchHold = (hold: Hold, controller: AbortController, goes_back: boolean): void => {
  if (hold.request === undefined) {
    void hold.requested.then((why) => {
      if (why === 'cancel') controller.abort();
    });
  }
  void hold.urgent.then((why) => {
    if (why === 'over' || goes_back) controller.abort();
  });
  void hold.left.then(() => controller.abort());
};

/**
 * Stores what a container that has ended has left, before anybody is told of its end. `left`: the attempt is another's by now. Undefined: it is given back.
 * Never rejects for what the job did or the store or the engine do: what could not be kept is said in a note, and the attempt's outcome is
 * as true without it.
 */
export const keepOutputs = async (
  hold: Hold,
  container: Pick<Container, 'copyOut'>,
  { files, limits, log, goes_back }: Keeping,
): Promise<ArtifactSummary | 'left' | undefined> => {
  const controller = new AbortController();
  watchHold(hold, controller, goes_back);
  const timer = setTimeout(() => controller.abort(), LIMIT_MS);
  const isLate = watchTries();
  try {
    for (;;) {
      const begun = performance.now();
      const collected = await collectOutputs(toCollecting(hold, container), {
        files,
        limits,
        signal: controller.signal,
      }).catch((error: unknown) => {
        if (!controller.signal.aborted) log.warn({ err: error }, 'could not store the outputs of a job');
        return { error };
      });
      if (hold.leave !== undefined || hold.request === 'over') return 'left';
      if (goes_back && hold.request === 'release') return undefined;
      if (!('error' in collected)) return collected;
      const { error } = collected;
      const note = controller.signal.aborted ? CUT_SHORT : toLastNote(error, isLate(begun));
      if (note !== undefined) return nothing(hold.claim.epoch, note);
      await Promise.race([pause(AGAIN_MS), hold.left, hold.urgent]);
    }
  } finally {
    clearTimeout(timer);
  }
};

const toCollecting = ({ claim: { job_id, epoch, spec } }: Hold, container: Pick<Container, 'copyOut'>) => ({
  container,
  patterns: spec.outputs ?? [],
  epoch,
  ...objectNames.outputs(job_id, epoch),
  running: false,
});

/** Told of each try that failed, by its beginning: whether it was the last. */
const watchTries = () => {
  let until: number | undefined;
  return (begun: number): boolean => {
    const now = performance.now();
    if (until === undefined || now - begun > PATIENCE_MS) until = now + PATIENCE_MS;
    return now > until;
  };
};

const CUT_SHORT = 'the outputs were not kept: it took too long, or the job was cancelled meanwhile';

/** Undefined: it may do another time. */
const toLastNote = (error: unknown, late: boolean): string | undefined => {
  if (error instanceof RuntimeFault && error.code === 'not_found') {
    return 'the outputs are gone with the container, which somebody removed';
  }
  return late || !isForNow(error) ? toNote(error) : undefined;
};

const toNote = (error: unknown): string => {
  if (error instanceof FilesUnavailable) return 'the outputs could not be stored: the file store was away, or full';
  return 'the outputs could not be read from the container engine';
};
