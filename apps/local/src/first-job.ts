import { LocalError } from './local-error.js';

interface JobView {
  job_id: string;
  state: string;
  cause?: string | null;
  exit_code?: number | null;
  stdout?: string;
  stderr?: string;
}

const terminal = new Set(['completed', 'failed', 'cancelled']);

/** Runs `uname -a` through the API at `base` and says what came of it. A job that does not end well is told, not thrown. */
export const runFirstJob = async (base: string, say: (line: string) => void, stopping: AbortSignal): Promise<void> => {
  const started_at = Date.now();
  if (await needsKey(base, stopping)) return say(`\nThe API asks for a key, so there is no first job.`);
  const submitted = await ask(`${base}/v1/jobs`, {
    method: 'POST',
    signal: stopping,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'first-job', command: ['uname', '-a'] }),
  });
  const job = await waitForEnd(base, submitted, AbortSignal.any([stopping, AbortSignal.timeout(60_000)]));
  say(`\nFirst job ${job.job_id}: uname -a`);
  if (job.state === 'completed') say(`  ${(job.stdout ?? '').trimEnd()}`);
  else say(`  ${job.state}${job.cause ? ` (${job.cause})` : ''} ${(job.stderr ?? '').trimEnd()}`.trimEnd());
  say(`  ${job.state} after ${Date.now() - started_at} ms`);
};

/** Keys have been made, or it listens on an address where it asks everybody for one. */
const needsKey = async (base: string, signal: AbortSignal): Promise<boolean> => {
  const response = await fetch(`${base}/v1/classes`, { signal });
  await response.arrayBuffer();
  return response.status === 401;
};

/** The job as last seen, when the signal comes first. */
const waitForEnd = async (base: string, submitted: JobView, signal: AbortSignal): Promise<JobView> => {
  let job = submitted;
  try {
    while (!terminal.has(job.state)) job = await ask(`${base}/v1/jobs/${job.job_id}?wait=30`, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return job;
};

const ask = async (url: string, init: RequestInit): Promise<JobView> => {
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new LocalError(`${init.method ?? 'GET'} ${url} answered ${response.status}: ${text}`);
  return JSON.parse(text) as JobView;
};

export const toHints = (base: string): string => `
  submit   curl -s ${base}/v1/jobs -H 'content-type: application/json' -d '{"command":["sh","-c","for i in 1 2 3; do echo $i; sleep 1; done"]}'
  watch    curl -sN '${base}/v1/jobs/JOB_ID/logs?follow=true'
  stop     curl -s -X POST ${base}/v1/jobs/JOB_ID/cancel

  ${base}/docs has the whole API, ${base}/dashboard the queues. Ctrl-C stops everything.`;
