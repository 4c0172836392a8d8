import { objectNames, type PartialOutputStore, type PartialOutputs } from '@berth/store';
import type { Logger } from 'pino';
import type { JobFiles } from '../attempt-files.js';
import type { Leases } from '../leases.js';
import type { Container } from '../runtime/container-runtime.js';
import { collectOutputs } from './collect-outputs.js';

interface PartialsOptions {
  leases: Pick<Leases, 'find'>;
  jobFiles: JobFiles;
  partials: Pick<PartialOutputStore, 'isWanted' | 'answer'>;
  /** Unix ms. */
  now?: () => number;
  /** Does it after so many milliseconds. */
  later?: (work: () => void, delay_ms: number) => void;
  log: Logger;
}

export interface PartialTaker {
  /** Somebody wants the outputs of a job as they stand. Returns at once; nothing comes of it where the job is not this worker's. */
  take(job_id: string): void;
}

/** What was last taken of a job. */
interface Taken {
  epoch: number;
  /** None where no copy has come about. */
  outputs: PartialOutputs | undefined;
  /** Unix ms. Before, no other is made. */
  next_at: number;
}

/** So many containers are read at a time; whoever asks for another one asks again. */
const AT_ONCE = 2;
/** Where no byte comes from the engine for so long, it is stuck, or the store that is to take them. */
const STUCK_MS = 60_000;
/** A copy is followed by ten times of what it took: it may cost a tenth of the machine, and what it filled goes before many more come. */
const SPACING = 10;
/** And by no more than this: retention removes a copy an hour after it was made. */
const LONGEST_SPACING_MS = 1_800_000;
/** So long whoever was given the copy before the last may still read it. */
const READ_MS = 60_000;
/** Longer ago, and it does not matter any more. */
const FORGET_MS = 3600_000;

const runLater = (work: () => void, delay_ms: number): void => {
  setTimeout(work, delay_ms).unref();
};

/** The signal goes off once no chunk has come for too long. */
const watchProgress = (container: Pick<Container, 'copyOut'>) => {
  const controller = new AbortController();
  const stuck = () => controller.abort(new Error(`nothing moved for ${STUCK_MS / 1000} s`));
  const timer = setTimeout(stuck, STUCK_MS).unref();
  return {
    signal: controller.signal,
    container: {
      async *copyOut(place: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
        for await (const chunk of container.copyOut(place, signal)) {
          timer.refresh();
          yield chunk;
        }
      },
    },
    end: () => clearTimeout(timer),
  };
};

const removeQuietly = async ({ jobFiles: { files }, log }: PartialsOptions, job_id: string, part: string) => {
  const { pack, manifest } = objectNames.partialOutputs(job_id, part);
  try {
    await files.remove(manifest);
    await files.remove(pack);
  } catch (err) {
    log.debug({ err, job_id }, 'left a copy of the outputs of a running job');
  }
};

/**
 * Reads the outputs of running containers for those who ask. The container is not stopped for it, so a file may be caught half written. However often it is
 * asked, few copies of a job are in the file store at a time: between two stands ten times what the first took, and at most half an hour, during which it is what
 * others are answered with, and each goes a minute after the next has come. What is left of the last, and by a worker that dies, retention removes.
 */
export const createPartialTaker = (options: PartialsOptions): PartialTaker => {
  const { leases, jobFiles, partials, now = Date.now, later = runLater, log } = options;
  const busy = new Set<string>();
  const taken = new Map<string, Taken>();

  const copy = async (job_id: string): Promise<PartialOutputs | undefined> => {
    const hold = leases.find(job_id);
    if (hold?.container === undefined) return undefined;
    const { container, claim } = hold;
    const [started_at, before] = [now(), taken.get(job_id)];
    const part = `${claim.epoch}-${started_at}`;
    const patterns = claim.spec.outputs ?? [];
    const names = objectNames.partialOutputs(job_id, part);
    const { signal, end, ...watched } = watchProgress(container);
    const asked = { ...watched, patterns, epoch: claim.epoch, running: true, ...names };
    const note = (outputs: PartialOutputs | undefined): void => {
      const [ended_at, epoch, last] = [now(), claim.epoch, before?.outputs];
      const kept = outputs ?? (before?.epoch === epoch ? last : undefined);
      const spacing_ms = Math.min(SPACING * (ended_at - started_at), LONGEST_SPACING_MS);
      taken.set(job_id, { epoch, outputs: kept, next_at: ended_at + spacing_ms });
      if (last && last !== kept) later(() => void removeQuietly(options, job_id, last.part), READ_MS);
    };
    try {
      const outputs = { part, ...(await collectOutputs(asked, { ...jobFiles, signal })) };
      note(outputs);
      return outputs;
    } catch (error) {
      note(undefined);
      await removeQuietly(options, job_id, part);
      throw error;
    } finally {
      end();
    }
  };

  const answer = async (job_id: string): Promise<void> => {
    if (!leases.find(job_id)?.container || !(await partials.isWanted(job_id))) return;
    const last = taken.get(job_id);
    const is_early = last !== undefined && now() < last.next_at && last.epoch === leases.find(job_id)?.claim.epoch;
    const outputs = is_early ? last.outputs : await copy(job_id);
    if (outputs) await partials.answer(job_id, outputs);
  };

  const forgetOld = (): void => {
    for (const [job_id, { next_at }] of taken) if (next_at + FORGET_MS < now()) taken.delete(job_id);
  };

  return {
    take(job_id) {
      forgetOld();
      if (busy.has(job_id) || busy.size >= AT_ONCE) return;
      busy.add(job_id);
      void answer(job_id)
        .catch((err) => log.warn({ err, job_id }, 'could not take the outputs of a running job'))
        .finally(() => busy.delete(job_id));
    },
  };
};
