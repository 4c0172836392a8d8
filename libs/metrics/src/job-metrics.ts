import { type Family, type Sample, toExposition } from './exposition.js';

/** Observations in each bucket, not cumulative; those above the last bound are only in `count`. */
export interface HistogramInput {
  buckets: number[];
  sum_ms: number;
  count: number;
}

/** What the record knows of all jobs, since the installation began and now. The same on every replica. */
export interface JobMetricsInput {
  /** Upper bounds of every histogram's buckets, in milliseconds. */
  bounds_ms: number[];
  submitted: { class: string; count: number }[];
  finished: { class: string; state: string; cause: string; count: number }[];
  runtime: ReadonlyMap<string, HistogramInput>;
  queue: ReadonlyMap<string, HistogramInput>;
  states: Readonly<Record<string, number>>;
}

/** Whole seconds as `1.0`, as the kept format's clients know them. */
const toBound = (ms: number): string => (ms % 1000 === 0 ? `${ms / 1000}.0` : String(ms / 1000));

const toHistogramSamples = (bounds_ms: number[], totals: HistogramInput, labels: Record<string, string>): Sample[] => {
  let cumulative = 0;
  const buckets = bounds_ms.map((bound, i) => {
    cumulative += totals.buckets[i] ?? 0;
    return { suffix: '_bucket', labels: { ...labels, le: toBound(bound) }, value: cumulative };
  });
  return [
    ...buckets,
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: totals.count },
    { suffix: '_sum', labels, value: totals.sum_ms / 1000 },
    { suffix: '_count', labels, value: totals.count },
  ];
};

const addUp = (bounds_ms: number[], histograms: Iterable<HistogramInput>): HistogramInput => {
  const sum = { buckets: bounds_ms.map(() => 0), sum_ms: 0, count: 0 };
  for (const { buckets, sum_ms, count } of histograms) {
    sum.buckets = sum.buckets.map((value, i) => value + (buckets[i] ?? 0));
    sum.sum_ms += sum_ms;
    sum.count += count;
  }
  return sum;
};

const sum = (counts: { count: number }[]): number => counts.reduce((total, { count }) => total + count, 0);

const counter = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'counter', samples });
const gauge = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'gauge', samples });

const toOwnFamilies = (input: JobMetricsInput): Family[] => {
  const byClass = (totals: ReadonlyMap<string, HistogramInput>): Sample[] =>
    [...totals].flatMap(([name, one]) => toHistogramSamples(input.bounds_ms, one, { class: name }));
  return [
    counter(
      'berth_jobs_submitted_total',
      'Jobs accepted.',
      input.submitted.map((one) => ({ labels: { class: one.class }, value: one.count })),
    ),
    counter(
      'berth_jobs_finished_total',
      'Jobs that reached their end; the cause is empty for those that completed.',
      input.finished.map(({ count, ...labels }) => ({ labels, value: count })),
    ),
    {
      name: 'berth_job_runtime_seconds',
      help: 'Time from the start to the end of an attempt.',
      type: 'histogram',
      samples: byClass(input.runtime),
    },
    {
      name: 'berth_job_queue_seconds',
      help: 'Time from submission to the first start.',
      type: 'histogram',
      samples: byClass(input.queue),
    },
    gauge(
      'berth_jobs',
      'Jobs that are kept, by state.',
      Object.entries(input.states).map(([state, value]) => ({ labels: { state }, value })),
    ),
  ];
};

/** The names that the coordinator's clients know. What ended without success counts as failed. */
const toCoordinatorFamilies = (input: JobMetricsInput): Family[] => {
  const ended = (completed: boolean) => sum(input.finished.filter((one) => (one.state === 'completed') === completed));
  return [
    counter('jobs_total', 'Total number of jobs submitted', [{ value: sum(input.submitted) }]),
    counter('jobs_completed_total', 'Total number of completed jobs', [{ value: ended(true) }]),
    counter('jobs_failed_total', 'Total number of failed jobs', [{ value: ended(false) }]),
    gauge('jobs_pending_total', 'Current number of pending jobs', [{ value: input.states.pending ?? 0 }]),
    gauge('jobs_running_total', 'Current number of running jobs', [{ value: input.states.running ?? 0 }]),
    {
      name: 'job_runtime_seconds',
      help: 'Job runtime in seconds',
      type: 'histogram',
      samples: toHistogramSamples(input.bounds_ms, addUp(input.bounds_ms, input.runtime.values()), {}),
    },
  ];
};

/** Every metric of jobs, as Prometheus text. */
export const toJobMetricsText = (input: JobMetricsInput): string =>
  toExposition([...toOwnFamilies(input), ...toCoordinatorFamilies(input)]);
