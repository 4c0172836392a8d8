import { toRetryPolicy } from '@berth/domain';
import type { Random } from './random.js';
import type { Program, SimJob } from './world.js';

const toProgram = (random: Random, calm: boolean): Program => {
  const dice = random.next();
  const kind =
    dice < 0.92 ? 'runs' : dice < 0.95 ? 'start_failed' : dice < 0.97 ? 'image_not_found' : 'image_pull_failed';
  return {
    kind,
    pull_ms: random.chance(0.2) ? random.between(500, 4_000) : random.between(1, 100),
    duration_ms: random.chance(0.4) ? random.between(50, 2_000) : random.between(2_000, 40_000),
    exit_code: random.chance(0.85) ? 0 : random.pick([1, 2, 137, 143]),
    fails_first: random.chance(0.1) ? random.between(1, 2) : 0,
    memory: random.chance(0.9) ? 'enough' : random.pick(['killed', 'child_killed'] as const),
    ignores_term: random.chance(0.3),
    bytes_per_second: random.chance(0.5) ? random.between(1, 4_000) : 0,
    deadly: !calm && random.chance(0.004),
  };
};

/** A job with whatever program, limits and policy chance gives it. */
export const toJob = (random: Random, id: string, calm: boolean): SimJob => ({
  id,
  program: toProgram(random, calm),
  ask: { centicpus: random.between(1, 3) * 100, memory_mb: random.between(1, 4) * 100, gpus: 0 },
  timeout_ms: random.chance(0.75) ? random.between(50, 90) * 1_000 : random.between(3, 30) * 1_000,
  grace_ms: random.between(1, 5) * 1_000,
  policy: toRetryPolicy({ max_attempts: random.chance(0.5) ? 1 : random.between(2, 3) }),
  queue_timeout_ms: random.chance(0.08) ? random.between(2, 40) * 1_000 : undefined,
  starts: 0,
  excused_starts: 0,
  cancel_answered: false,
  containers: [],
});
