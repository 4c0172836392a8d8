import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../faults/random.js';
import type { World } from '../faults/world.js';
import { type SoakJob, toSoakJob } from './soak-job.js';

export interface Submitted extends SoakJob {
  job_id: string;
}

/** All that was asked of the API replicas. */
export interface Submissions {
  jobs: Submitted[];
  /** Requests that had to be sent again, since nobody knows what became of them, or since they were refused for now. */
  repeats: number;
  /** Answers that no fault explains. */
  refusals: string[];
}

const ANSWER_MS = 5_000;
const PAUSE_MS = 200;

/** Until there is an answer that stands. 5xx and silence say nothing: with the same key, to send it again is harmless. */
const ask = async (
  submissions: Submissions,
  send: () => Promise<{ status: number; body: Record<string, unknown> }>,
): Promise<Record<string, unknown> | undefined> => {
  for (;;) {
    const reply = await send().catch(() => undefined);
    if (reply !== undefined && reply.status < 300) return reply.body;
    if (reply !== undefined && reply.status < 500) {
      submissions.refusals.push(`${reply.status}: ${JSON.stringify(reply.body)}`);
      return undefined;
    }
    submissions.repeats += 1;
    await delay(PAUSE_MS);
  }
};

/** Submits one job under its own key. Settles when it is accepted. */
export const submitJob = async (
  world: World,
  submissions: Submissions,
  job: SoakJob,
  key: string,
): Promise<Submitted | undefined> => {
  const send = () => world.trySubmit(job.spec, { key, limit_ms: ANSWER_MS });
  const body = await ask(submissions, send);
  if (body === undefined) return undefined;
  const submitted = { ...job, job_id: String(body.job_id) };
  submissions.jobs.push(submitted);
  return submitted;
};

const cancelLater = async (world: World, submissions: Submissions, { job_id, cancel_after_ms }: Submitted) => {
  if (cancel_after_ms === undefined) return;
  await delay(cancel_after_ms);
  const send = () => world.request('POST', `/v1/jobs/${job_id}/cancel`, undefined, { limit_ms: ANSWER_MS });
  await ask(submissions, send);
};

/** One of so many is looked at all the time, by all replicas in turn. */
const OBSERVED = 25;

export interface Plan {
  count: number;
  /** They come evenly over this time. */
  over_ms: number;
  random: Random;
}

/** Settles when every job is accepted and every cancel answered. One that waits for its answer holds up none of the next. */
export const submitJobs = async (world: World, submissions: Submissions, { count, over_ms, random }: Plan) => {
  const begun = performance.now();
  const work: Promise<void>[] = [];
  const watches: { stop(): Promise<void> }[] = [];
  const submit = async (i: number, job: SoakJob): Promise<void> => {
    const submitted = await submitJob(world, submissions, job, `soak-${world.seed}-${i}`);
    if (submitted === undefined) return;
    if (i % OBSERVED === 0) watches.push(world.observe(submitted.job_id));
    await cancelLater(world, submissions, submitted);
  };
  for (let i = 0; i < count; i += 1) {
    await delay(Math.max(0, begun + (i * over_ms) / count - performance.now()));
    work.push(submit(i, toSoakJob(i, random)));
  }
  await Promise.all(work);
  return { stopWatching: () => Promise.all(watches.map((watch) => watch.stop())) };
};
