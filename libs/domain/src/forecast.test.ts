import {
  findDelayed,
  findQuantile,
  forecastStart,
  type PendingJob,
  type RunningJob,
  runOn,
  type Scene,
  toRemaining,
  withPending,
} from '@berth/domain';
import { describe, expect, it } from 'vitest';

const AT = 1_000_000;

const toShape = (cpus: number, timeout_seconds = 3_600) => ({
  ask: { centicpus: cpus * 100, memory_mb: 10, gpus: 0 },
  timeout_seconds,
});

const toPending = (job_id: string, cpus: number, more: Partial<PendingJob> = {}): PendingJob => ({
  ...{ job_id, user: 'alice', bucket: 'alice', class: 'small', shape: toShape(cpus), rank: Number.NEGATIVE_INFINITY },
  ...{ spec: { cpus, memory_mb: 10, timeout_seconds: 3_600 }, priority: 50, created_at: Number(job_id), held: false },
  ...{ due_at: null, after_left: 0, dependencies: [], ...more },
});

const toRunning = (job_id: string, cpus: number, ran_ms: number): RunningJob => ({
  ...{
    job_id,
    engine: 'e',
    class: 'small',
    bucket: 'alice',
    shape: toShape(cpus),
    gpu_uuids: [],
    began_at: AT - ran_ms,
  },
});

/** One machine of 4 CPUs. */
const toScene = (running: RunningJob[], waiting: PendingJob[]): Scene => {
  const reserved = running.reduce((sum, { shape }) => sum + shape.ask.centicpus, 0);
  return {
    at: AT,
    buckets: waiting.reduce<Scene['buckets']>((all, job) => withPending(all, job), { small: [] }),
    machines: [
      {
        ...{
          node: 'n',
          engine: 'e',
          labels: {},
          region: 'eu',
          datacenter: 'dc',
          gpus: [],
          gpu_holds: [],
          drained: false,
        },
        capacity: { centicpus: 400, memory_mb: 1_000, gpus: 0 },
        reserved: { centicpus: reserved, memory_mb: 0, gpus: 0 },
      },
    ],
    ...{ quotas: {}, tallies: {} },
    sharing: { cluster: { centicpus: 400, memory_mb: 1_000, gpus: 0 }, half_life_ms: 1e6, weights: {}, durations: {} },
  };
};

const TIMES = { 'alice|small': [10_000, 20_000, 30_000, 40_000] };

describe('a start window', () => {
  const IDLE = { count: 0, jobs: [] };

  it('takes a quantile of what was seen', () => {
    expect([0.1, 0.5, 0.9].map((part) => findQuantile([30, 10, 20], part))).toEqual([10, 20, 30]);
    expect(findQuantile([], 0.5)).toBeUndefined();
  });

  it.each([
    ['has just begun', 0, 10_000, 40_000],
    ['ran longer than some', 15_000, 5_000, 25_000],
    ['ran longer than all', 50_000, 1_000, 3_550_000],
  ])('takes a job that %s to run as long as those that ran longer', (_what, ran, p10, p90) => {
    const job = toRunning('1', 1, ran);
    expect([0.1, 0.9].map((part) => toRemaining(job, TIMES, part, ran))).toEqual([p10, p90]);
  });

  it('waits for the end that makes room, and for those before it', () => {
    const running = [toRunning('1', 4, 15_000)];
    const [first, second] = [toPending('2', 4), toPending('3', 4)];
    const scene = toScene(running, [first, second]);
    const look = (job: PendingJob, ahead_in_queue: number) =>
      forecastStart(scene, job, { running: { count: 1, jobs: running }, times: TIMES, ahead_in_queue });
    expect(look(first, 0)).toMatchObject({
      p10: AT + 5_000,
      p90: AT + 25_000,
      evidence: { samples: 4, jobs_ahead: 0 },
    });
    expect(look(second, 1)).toMatchObject({
      ...{ p10: AT + 15_000, p90: AT + 65_000 },
      evidence: { method: 'simulated', jobs_ahead: 1, running: 1 },
    });
  });

  it('is none for what time alone does not start, and not before the next attempt is due', () => {
    const look = (job: PendingJob) => {
      const waits = job.due_at === null && !job.held;
      return forecastStart(toScene([], waits ? [job] : []), job, { running: IDLE, times: TIMES, ahead_in_queue: 0 });
    };
    expect(look(toPending('1', 5))).toBeNull();
    expect(look(toPending('1', 1, { held: true }))).toBeNull();
    expect(look(toPending('1', 1, { after_left: 1 }))).toBeNull();
    expect(look(toPending('1', 1, { due_at: AT + 9_000 }))).toMatchObject({ p10: AT + 9_000, p90: AT + 9_000 });
  });

  it('is estimated where it is not known which jobs run', () => {
    const job = toPending('2', 4);
    const scene = toScene([toRunning('1', 4, 15_000)], [toPending('3', 4), job]);
    const said = forecastStart(scene, job, { running: { count: 1, jobs: null }, times: TIMES, ahead_in_queue: 1 });
    expect(said).toMatchObject({ p10: AT + 10_000, p90: AT + 40_000, evidence: { method: 'estimated', running: 1 } });
  });

  it('is estimated where too much waits to go through', () => {
    const waiting = Array.from({ length: 200 }, (_, i) => toPending(String(i + 1), 4));
    const last = waiting.at(-1) as PendingJob;
    const said = forecastStart(toScene([], waiting), last, { running: IDLE, times: TIMES, ahead_in_queue: 199 });
    expect(said).toEqual({
      ...{ p10: AT + 199 * 10_000, p90: AT + 199 * 40_000 },
      evidence: expect.objectContaining({ method: 'estimated', jobs_ahead: 199 }),
    });
  });

  it('says whom one more job delays', () => {
    const [before, more] = [toPending('5', 4), toPending('9', 4, { priority: 90 })];
    const scene = toScene([], [before]);
    const limits = { steps: 20 };
    const without = runOn(scene, [], TIMES, 0.5, limits);
    const with_it = runOn({ ...scene, buckets: withPending(scene.buckets, more) }, [], TIMES, 0.5, limits);
    expect(with_it.starts.map(({ at, job }) => [job.job_id, at])).toEqual([
      ['9', AT],
      ['5', AT + 20_000],
    ]);
    expect(findDelayed(without, with_it, '9')).toEqual(['5']);
    expect(findDelayed(without, without, '9')).toEqual([]);
  });
});
