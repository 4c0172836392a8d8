const createEngineKeys = (prefix: string) => ({
  /** Hash: what the running jobs of one engine have reserved. */
  reserved: (engine: string) => `${prefix}:engine:${engine}:reserved`,
  /** Set: the running jobs of one engine. */
  runningOn: (engine: string) => `${prefix}:engine:${engine}:running`,
  /** Sorted set by last sign of life: the workers of one engine. */
  aliveOn: (engine: string) => `${prefix}:engine:${engine}:alive`,
  /** Sorted set by last sign of life: engines that have had a worker lately. */
  engines: `${prefix}:engines`,
  /** Channel: `cancel <job id>`, `room` and `orphans` for the workers of one engine. */
  engineChannel: (engine: string) => `${prefix}:engine:${engine}`,
});

/**
 * Every key that Berth writes, except BullMQ's own (under `<prefix>:bull`). The scripts build the same names from the
 * prefix, so a name changes here and in `scripts/transition.lua` together.
 */
export const createKeys = (prefix: string) => ({
  prefix,
  /** String: the random name of this installation. */
  installation: `${prefix}:installation`,
  /** String: how many signs of life workers have given. It only grows. */
  beats: `${prefix}:beats`,
  /** String, Unix ms: the broker was found to have gone back to an older state, and nothing begins until a person removes this. */
  wentBack: `${prefix}:went_back`,
  /** Hash: the record of a job. */
  job: (id: string) => `${prefix}:job:${id}`,
  /** List of JSON: the job's history from its second event on, oldest first. The first follows from the record. */
  history: (id: string) => `${prefix}:job:${id}:events`,
  /** Stream: what the job wrote, in pieces, in order of arrival. */
  log: (id: string) => `${prefix}:job:${id}:log`,
  /** Channel: a piece was added to the job's log. */
  logChannel: (id: string) => `${prefix}:log:${id}`,
  /** Stream: every event of every job, for whoever follows. Bounded; the history is the truth. */
  events: `${prefix}:events`,
  /** Sorted sets of job ids with equal scores: ids are ordered by time, so lexical order is time order. */
  jobs: `${prefix}:jobs`,
  jobsInState: (state: string) => `${prefix}:jobs:state:${state}`,
  jobsNamed: (name: string) => `${prefix}:jobs:name:${name}`,
  jobsLabelled: (label: string) => `${prefix}:jobs:label:${label}`,
  jobsOfFormat: (format: string) => `${prefix}:jobs:format:${format}`,
  /** Sorted set by finish time, for retention. */
  finished: `${prefix}:finished`,
  /** Sorted set by priority, then age: pending jobs that are not in BullMQ yet. */
  backlog: (className: string) => `${prefix}:backlog:${className}`,
  /** Sorted set by time of dispatch: pending jobs that BullMQ holds a message for. */
  dispatched: (className: string) => `${prefix}:dispatched:${className}`,
  /** Sorted set by due time: jobs that wait for their next attempt. */
  due: `${prefix}:due`,
  /** Sorted set by deadline: jobs that may not be pending after it. */
  queueDeadlines: `${prefix}:queue_deadlines`,
  /** Sorted set by expiry: jobs that a worker holds. */
  leases: `${prefix}:leases`,
  ...createEngineKeys(prefix),
  /** Hash of JSON by worker: last heartbeats. */
  workers: `${prefix}:workers`,
  /** Hash: counters and histogram buckets of jobs since the installation began. */
  counters: `${prefix}:counters`,
  /** String: the job id and body hash that an Idempotency-Key stands for. */
  idempotency: (hash: string) => `${prefix}:idempotency:${hash}`,
  /** List that clients of the workload runner's format read; its name is theirs. */
  workloadLog: (id: string) => `job_logs:${id}`,
  /** The prefix that BullMQ gets. */
  bull: `${prefix}:bull`,
});

export type Keys = ReturnType<typeof createKeys>;
