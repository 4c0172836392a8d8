import {
  DEFAULT_HALF_LIFE_SECONDS,
  type Quota,
  type RunningJob,
  type RunTimes,
  type Scene,
  type Tally,
  toGroupsOf,
  toShape,
} from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Quotas } from './quotas.js';
import { type Node, run } from './worker-registry.js';

/** So many running jobs are looked at. */
const MOST_RUNNING = 1_000;

const RUNNING_FIELDS = ['shape', 'class', 'user', 'bucket', 'gpu_uuids', 'started_at', 'claimed_at'] as const;

/** Somebody's jobs of a class. */
export type Pair = [user: string, className: string];

/** The parts of a sight that are read key by key. */
export const createSightReaders = (redis: Redis, keys: Keys, readTallies: Quotas['readTallies']) => ({
  async readRunning(nodes: Node[]): Promise<RunningJob[]> {
    const all = nodes.flatMap(({ engine, running_jobs }) => running_jobs.map((job_id) => ({ engine, job_id })));
    const pipeline = redis.pipeline();
    for (const { job_id } of all.slice(0, MOST_RUNNING)) pipeline.hmget(keys.job(job_id), ...RUNNING_FIELDS);
    const replies = await run(pipeline);
    return replies.flatMap((reply, i) => {
      const [shape, name, user, bucket, uuids, started_at, claimed_at] = reply as (string | null)[];
      const place = all[i];
      if (!place || !shape || !name || !user) return [];
      const gpu_uuids = uuids ? uuids.split(',') : [];
      const began_at = Number(started_at || claimed_at);
      return [{ ...place, class: name, bucket: bucket || user, shape: toShape(shape), gpu_uuids, began_at }];
    });
  },

  async readSharing(pairs: Pair[]): Promise<Scene['sharing']> {
    const users = [...new Set(pairs.map(([user]) => user))];
    const [cluster, half_life, weights, durations] = await Promise.all([
      redis.hgetall(keys.cluster),
      redis.hget(keys.settings, 'half_life_seconds'),
      users.length > 0 ? redis.hmget(keys.weights, ...users) : [],
      pairs.length > 0 ? redis.hmget(keys.durations, ...pairs.map((pair) => pair.join('|'))) : [],
    ]);
    const { centicpus, memory_mb, gpus } = cluster;
    return {
      cluster: { centicpus: Number(centicpus ?? 0), memory_mb: Number(memory_mb ?? 0), gpus: Number(gpus ?? 0) },
      half_life_ms: Number(half_life ?? DEFAULT_HALF_LIFE_SECONDS) * 1_000,
      weights: Object.fromEntries(users.flatMap((user, i) => (weights[i] ? [[user, Number(weights[i])]] : []))),
      durations: Object.fromEntries(
        pairs.flatMap((pair, i) => (durations[i] ? [[pair.join('|'), Number(durations[i])]] : [])),
      ),
    };
  },

  async readTimes(pairs: Pair[]): Promise<RunTimes> {
    const pipeline = redis.pipeline();
    for (const [user, name] of pairs) pipeline.lrange(keys.runTimes(user, name), 0, -1);
    const replies = (await run(pipeline)) as string[][];
    return Object.fromEntries(pairs.map((pair, i) => [pair.join('|'), (replies[i] ?? []).map(Number)]));
  },

  /** Of the groups that a quota may bind. */
  async readQuotas(jobs: Omit<RunningJob, 'job_id' | 'engine' | 'gpu_uuids' | 'began_at'>[]) {
    const texts = await redis.hgetall(keys.quotas);
    const all = Object.fromEntries(Object.entries(texts).map(([group, text]) => [group, JSON.parse(text) as Quota]));
    const bound = Object.keys(all).length > 0 ? jobs.flatMap((job) => toGroupsOf({ job_id: '', ...job })) : [];
    const groups = [...new Set(bound)].filter((group) => all[group] ?? all[group.replace(/^user\/[^/]+/, 'user/*')]);
    const tallies = await readTallies(groups);
    const entries = groups.flatMap((group, i): [string, Tally][] => (tallies[i] ? [[group, tallies[i]]] : []));
    return { quotas: all, tallies: Object.fromEntries(entries) };
  },
});
