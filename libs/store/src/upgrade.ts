import { type JobSpec, LOCAL_USER, type Shape, toJobShape, toShapeText } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Scripts } from './scripts.js';
import { toSpec } from './spec-text.js';

/** Grows when records of an earlier version lack something that the scripts need. */
const RECORDS = '2';
const PAGE = 500;

interface Upgrading {
  redis: Redis;
  keys: Keys;
  scripts: Scripts;
}

const toOldShape = (spec: JobSpec, gpus: number): Shape => {
  const shape = toJobShape(spec);
  return gpus === 0 ? shape : { ...shape, ask: { ...shape.ask, gpus }, gpus: { count: gpus, type: 'any' } };
};

const upgradeJob = async ({ redis, keys, scripts }: Upgrading, job_id: string): Promise<void> => {
  const [spec, gpus, shape] = await redis.hmget(keys.job(job_id), 'spec', 'gpus', 'shape');
  if (!spec || shape) return;
  const old = toOldShape(toSpec(spec), Number(gpus ?? 0));
  await scripts.run('upgrade', job_id, LOCAL_USER, toShapeText(old));
};

/**
 * Brings jobs that wait or run and were accepted by an earlier version up to this one, before anything else looks at them. Whoever starts
 * first does it; two at the same time do no harm, and later it costs one read.
 */
export const upgradeRecords = async (upgrading: Upgrading): Promise<void> => {
  const { redis, keys } = upgrading;
  if ((await redis.hget(keys.settings, 'records')) === RECORDS) return;
  for (const state of ['running', 'pending']) {
    for (let from = '-'; ; ) {
      const ids = await redis.zrange(keys.jobsInState(state), from, '+', 'BYLEX', 'LIMIT', 0, PAGE);
      await Promise.all(ids.map((id) => upgradeJob(upgrading, id)));
      if (ids.length < PAGE) break;
      from = `(${ids.at(-1)}`;
    }
  }
  await redis.hset(keys.settings, 'records', RECORDS);
};
