import { describe, expect, it } from 'vitest';
import { toExposition } from './exposition.js';
import { toJobMetricsText } from './job-metrics.js';

const small = { buckets: [1, 2], sum_ms: 4_500, count: 4 };
const large = { buckets: [0, 1], sum_ms: 1_000, count: 1 };

const text = toJobMetricsText({
  bounds_ms: [100, 1_000],
  submitted: [
    { class: 'small', count: 7 },
    { class: 'large', count: 2 },
  ],
  finished: [
    { class: 'small', state: 'completed', cause: '', count: 3 },
    { class: 'small', state: 'failed', cause: 'exit_code', count: 2 },
    { class: 'large', state: 'cancelled', cause: 'cancelled', count: 1 },
  ],
  runtime: new Map([
    ['small', small],
    ['large', large],
  ]),
  queue: new Map([['small', small]]),
  states: { pending: 2, running: 1, completed: 3 },
});
const lines = text.split('\n');

describe('toJobMetricsText', () => {
  it.each([
    'berth_jobs_submitted_total{class="small"} 7',
    'berth_jobs_finished_total{class="small",state="failed",cause="exit_code"} 2',
    'berth_job_runtime_seconds_bucket{class="small",le="0.1"} 1',
    'berth_job_runtime_seconds_bucket{class="small",le="1.0"} 3',
    'berth_job_runtime_seconds_bucket{class="small",le="+Inf"} 4',
    'berth_job_runtime_seconds_sum{class="small"} 4.5',
    'berth_job_queue_seconds_count{class="small"} 4',
    'berth_jobs{state="pending"} 2',
    'jobs_total 9',
    'jobs_completed_total 3',
    'jobs_failed_total 3',
    'jobs_pending_total 2',
    'jobs_running_total 1',
    'job_runtime_seconds_bucket{le="0.1"} 1',
    'job_runtime_seconds_bucket{le="1.0"} 4',
    'job_runtime_seconds_bucket{le="+Inf"} 5',
    'job_runtime_seconds_sum 5.5',
    'job_runtime_seconds_count 5',
    '# TYPE job_runtime_seconds histogram',
  ])('says %s', (line) => {
    expect(lines).toContain(line);
  });

  it('names no family twice', () => {
    const types = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
    expect(new Set(types).size).toBe(types.length);
  });
});

describe('toExposition', () => {
  it('escapes label values', () => {
    const family = { name: 'x', help: 'X.', type: 'gauge' as const, samples: [{ labels: { a: 'b"\\\nc' }, value: 1 }] };
    expect(toExposition([family])).toBe('# HELP x X.\n# TYPE x gauge\nx{a="b\\"\\\\\\nc"} 1\n');
  });
});
