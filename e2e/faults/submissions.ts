import { setTimeout as delay } from 'node:timers/promises';
import type { World } from './world.js';

/** What a client heard of one call. No status: no answer came, and nobody knows whether the job was accepted. */
export interface Heard {
  key: string;
  api: number;
  at: number;
  took_ms: number;
  status?: number;
  job_id?: string;
  retry_after?: string | null;
}

/** Clients that submit without a pause, each job under a key of its own, and try again under the same key until it is accepted. */
export interface Submissions {
  heard: Heard[];
  /** Keys that have been accepted, with all ids that were ever answered to them. */
  ids(): Map<string, Set<string>>;
  /** The clients bring to an end what they have begun. */
  stop(): Promise<void>;
}

interface SubmissionsOptions {
  clients: number;
  /** The nth job. */
  toSpec: (n: number) => object;
  /** No more than so many keys. */
  most?: number;
}

/** What a client leaves between two calls. */
const PAUSE_MS = 5;
/** And after a call that failed. */
const AGAIN_MS = 50;

/** Waits for no machine: the worlds that use it serve no class that holds it. */
export const waitingJob = { command: ['true'], cpus: 16, memory_mb: 16 };
/** For all workers of a world in which `waitingJob` waits for ever. */
export const SMALL_MACHINE = { BERTH_CPUS: '2', BERTH_MEMORY_MB: '4096' };

/** Never throws: that no answer came is what was heard. */
export const submitOnce = async (
  world: World,
  spec: object,
  { key, api }: { key: string; api: number },
): Promise<Heard> => {
  const at = Date.now();
  const began = performance.now();
  const end = () => ({ key, api, at, took_ms: performance.now() - began });
  try {
    const { status, headers, body } = await world.trySubmit(spec, { key, api });
    const accepted = status < 300 ? { job_id: String(body.job_id) } : {};
    return { ...end(), status, ...accepted, retry_after: headers.get('retry-after') };
  } catch {
    return end();
  }
};

export const startSubmissions = (
  world: World,
  { clients, toSpec, most = Infinity }: SubmissionsOptions,
): Submissions => {
  const heard: Heard[] = [];
  let next = 0;
  let stopped = false;

  const client = async (random: World['random']): Promise<void> => {
    while (!stopped && next < most) {
      const n = next;
      next += 1;
      for (let accepted = false; !accepted; ) {
        const answer = await submitOnce(world, toSpec(n), {
          key: `key-${n}`,
          api: random.between(0, world.apis.length - 1),
        });
        heard.push(answer);
        accepted = answer.job_id !== undefined;
        await delay(accepted ? PAUSE_MS : AGAIN_MS);
      }
    }
  };
  const working = Promise.all(Array.from({ length: clients }, () => client(world.random.fork())));
  return {
    heard,
    ids() {
      const ids = new Map<string, Set<string>>();
      for (const { key, job_id } of heard)
        if (job_id !== undefined) ids.set(key, (ids.get(key) ?? new Set()).add(job_id));
      return ids;
    },
    async stop() {
      stopped = true;
      await working;
    },
  };
};

/** Cancels what still waits, so many at a time. */
export const cancelAll = async (world: World, job_ids: Iterable<string>, clients = 16): Promise<void> => {
  const left = [...job_ids];
  const client = async () => {
    for (let job_id = left.pop(); job_id !== undefined; job_id = left.pop()) await world.cancel(job_id);
  };
  await Promise.all(Array.from({ length: clients }, client));
};
