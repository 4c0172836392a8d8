import { type JobSpec, jobSpecSchema, toAsk } from '@berth/domain';
import {
  type Claim,
  type Claimant,
  createStore,
  type FileStore,
  type NewJob,
  openRedis,
  type Settlement,
  type Store,
} from '@berth/store';
import type { Redis } from 'ioredis';
import { expect, onTestFinished } from 'vitest';

/** The broker that the tests' global set-up started. */
export const redisUrl = (): string => {
  const url = process.env.REDIS_URL;
  if (url === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest, which starts a broker');
  return url;
};

export const openTestRedis = (): Redis => {
  const redis = openRedis(redisUrl(), 'steady');
  onTestFinished(() => redis.disconnect());
  return redis;
};

export const findKeys = async (redis: Redis, pattern: string): Promise<string[]> => {
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: pattern, count: 1_000 })) found.push(...(keys as string[]));
  return found;
};

export interface TestStore {
  redis: Redis;
  store: Store;
  prefix: string;
}

let opened = 0;

/**
 * A store with a prefix of its own, for one test. When the test ends its keys are deleted, and it is checked that none is
 * left; one that comes back is a write that nobody waited for.
 */
export const openTestStore = (file: string, files?: FileStore): TestStore => {
  const prefix = `test-store-${file}-${process.pid}-${opened++}`;
  const redis = openRedis(redisUrl(), 'steady');
  onTestFinished(async () => {
    const keys = await findKeys(redis, `${prefix}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
    expect(await findKeys(redis, `*${prefix}*`)).toEqual([]);
    redis.disconnect();
  });
  return { redis, store: createStore(redis, prefix, files), prefix };
};

export const toSpec = (fields: Record<string, unknown> = {}): JobSpec => {
  const spec = jobSpecSchema.parse({ command: ['true'], ...fields });
  return { ...spec, image: spec.image ?? 'busybox:stable' };
};

export const toNewJob = (fields: Record<string, unknown> = {}, more: Partial<NewJob> = {}): NewJob => {
  const spec = toSpec(fields);
  return { spec, class: 'small', ask: toAsk(spec), ...more };
};

/** Submits a job and returns its id. */
export const submit = async (store: Store, fields: Record<string, unknown> = {}): Promise<string> =>
  (await store.jobs.accept(toNewJob(fields))).job_id;

export const toClaimant = (fields: Partial<Claimant> = {}): Claimant => ({
  worker: 'worker-1',
  engine: 'engine-1',
  node: 'node-1',
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity: { centicpus: 400, memory_mb: 4_096, gpus: 0 },
  ...fields,
});

/** Claims a job that must be there to claim. */
export const claim = async (store: Store, job_id: string, by: Claimant = toClaimant()): Promise<Claim> => {
  const reply = await store.claims.claim(job_id, by);
  if (reply.kind !== 'claimed') throw new Error(`expected to claim ${job_id}, got ${JSON.stringify(reply)}`);
  return reply.claim;
};

export const toSettlement = (type: Settlement['type'], fields: Partial<Settlement> = {}): Settlement => ({
  type,
  cause: type === 'completed' || type === 'released' ? null : type === 'lost' ? 'engine_restarted' : 'exit_code',
  exit_code: type === 'completed' ? 0 : null,
  message: null,
  delay_ms: 0,
  entry: { node: 'node-1', image_digest: 'sha256:abc', evidence: null },
  ...fields,
});

export const historyOf = async (store: Store, job_id: string): Promise<string[]> =>
  (await store.jobs.readHistory(job_id)).map((event) => event.type);
