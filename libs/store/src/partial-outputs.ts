import type { Redis } from 'ioredis';
import type { ArtifactSummary } from './files/artifact-manifest.js';
import type { Keys } from './keys.js';

/**
 * Outputs of a job that still runs, as they stand at the moment. `part` names the objects: `objectNames.partialOutputs(job_id, part)`. They
 * are kept for an hour.
 */
export interface PartialOutputs extends ArtifactSummary {
  part: string;
}

const LIMIT_MS = 30_000;
/** Whoever asks within this time after an answer gets the same: however often it is asked, a container is read this often. */
const GOOD_MS = 5_000;
const LOOK_MS = 100;
/** A notice may be lost, or its worker: it is repeated. */
const REPEAT_MS = 2_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * How the API asks the worker of a running job for what the job has written so far. A key says that somebody waits; a notice on the engine's
 * channel tells the job's worker, which puts the answer in the key's place. All who ask meanwhile share it. The key goes by itself, so
 * whoever dies leaves nothing.
 */
export const createPartialOutputs = (redis: Redis, keys: Keys) => {
  const readEngine = async (job_id: string): Promise<string | undefined> => {
    const [state, started_at, engine] = await redis.hmget(keys.job(job_id), 'state', 'started_at', 'engine');
    return state === 'running' && started_at && engine ? engine : undefined;
  };

  return {
    /** `not_running`: its container has not been started, or the job has ended. `timeout`: no answer within 30 s. */
    async request(job_id: string, limit_ms = LIMIT_MS): Promise<PartialOutputs | 'not_running' | 'timeout'> {
      const key = keys.partialOutputs(job_id);
      const until = Date.now() + limit_ms;
      let said = 0;
      while (Date.now() < until) {
        const answer = await redis.get(key);
        if (answer) return JSON.parse(answer) as PartialOutputs;
        if (Date.now() - said >= REPEAT_MS) {
          const engine = await readEngine(job_id);
          if (engine === undefined) return 'not_running';
          await redis.set(key, '', 'PX', LIMIT_MS, 'NX');
          await redis.publish(keys.engineChannel(engine), `snapshot ${job_id}`);
          said = Date.now();
        }
        await pause(LOOK_MS);
      }
      return 'timeout';
    },

    /** For the worker: whether somebody still waits for an answer. */
    isWanted: async (job_id: string): Promise<boolean> => (await redis.get(keys.partialOutputs(job_id))) === '',

    /** For the worker. */
    async answer(job_id: string, outputs: PartialOutputs): Promise<void> {
      await redis.set(keys.partialOutputs(job_id), JSON.stringify(outputs), 'PX', GOOD_MS);
    },
  };
};

export type PartialOutputStore = ReturnType<typeof createPartialOutputs>;
