const createEngineKeys = (prefix: string) => ({
  /** Hash: what the running jobs of one engine have reserved. */
  reserved: (engine: string) => `${prefix}:engine:${engine}:reserved`,
  /** Hash: who holds which of its GPUs. */
  gpusOf: (engine: string) => `${prefix}:engine:${engine}:gpus`,
  /** Hash: the job that an engine is kept free for, from when on, and what that leaves over. Gone after a while. */
  reservation: (engine: string) => `${prefix}:engine:${engine}:reservation`,
  /** Set: the running jobs of one engine. */
  runningOn: (engine: string) => `${prefix}:engine:${engine}:running`,
  /** Sorted set by last sign of life: the workers of one engine. */
  aliveOn: (engine: string) => `${prefix}:engine:${engine}:alive`,
  /** Sorted set by last sign of life: engines that have had a worker lately. */
  engines: `${prefix}:engines`,
  /** Sorted set by last use: images that jobs have used there. */
  imagesOn: (engine: string) => `${prefix}:engine:${engine}:images`,
  /** String: an image is being removed there at present. Gone after a while. */
  imageGoing: (engine: string, image: string) => `${prefix}:engine:${engine}:going:${image}`,
  /** Channel: `cancel <job id>`, `snapshot <job id>`, `room` and `orphans` for the workers of one engine. */
  engineChannel: (engine: string) => `${prefix}:engine:${engine}`,
});

const createArrayKeys = (prefix: string) => ({
  /** Hash: what the jobs of an array have in common, and how many indices are where. */
  array: (id: string) => `${prefix}:array:${id}`,
  /** Bitmap by index: what has ended in a state, or is to be run `again`. */
  arrayBits: (id: string, state: 'completed' | 'failed' | 'cancelled' | 'again') => `${prefix}:array:${id}:${state}`,
  /** Sorted set by index: its jobs that have not ended. */
  arrayLive: (id: string) => `${prefix}:array:${id}:live`,
  /** Hash: the latest job of each index, while it is remembered. */
  arrayJobs: (id: string) => `${prefix}:array:${id}:jobs`,
  /** List of JSON strings by index: the values that it was given. */
  arrayValues: (id: string) => `${prefix}:array:${id}:values`,
  /** Sorted set by index: its jobs that are still to be cancelled. */
  arrayLeftToCancel: (id: string) => `${prefix}:array:${id}:cancelling`,
  /** Sorted sets of array ids with equal scores, as of jobs. */
  arrays: `${prefix}:arrays`,
  arraysOfUser: (user: string) => `${prefix}:arrays:user:${user}`,
  /** Set: arrays that may have room for more jobs. */
  arraysReady: `${prefix}:arrays:ready`,
  /** Set: arrays whose jobs are being cancelled. */
  arraysCancelling: `${prefix}:arrays:cancelling`,
  /** Sorted set by finish time, for retention. */
  arraysFinished: `${prefix}:arrays:finished`,
});

const createJobKeys = (prefix: string) => ({
  /** Hash: the record of a job. */
  job: (id: string) => `${prefix}:job:${id}`,
  /** List of JSON: the job's history from its second event on, oldest first. The first follows from the record. */
  history: (id: string) => `${prefix}:job:${id}:events`,
  /** Stream: what the job wrote, in pieces, in order of arrival, as far as it is in no segment yet. */
  log: (id: string) => `${prefix}:job:${id}:log`,
  /** List of JSON, oldest first: the segments of the job's log, which stand in the file store. */
  segments: (id: string) => `${prefix}:job:${id}:segments`,
  /** Sorted set by time: jobs that have ended, and whose last output is still to be sealed. */
  unsealed: `${prefix}:unsealed`,
  /** Channel: a piece was added to the job's log. */
  logChannel: (id: string) => `${prefix}:log:${id}`,
  /** Stream: every event of every job, for whoever follows. Bounded; the history is the truth. */
  events: `${prefix}:events`,
  /** Sorted sets of job ids with equal scores: ids are ordered by time, so lexical order is time order. */
  jobs: `${prefix}:jobs`,
  jobsInState: (state: string) => `${prefix}:jobs:state:${state}`,
  jobsNamed: (name: string) => `${prefix}:jobs:name:${name}`,
  jobsLabelled: (label: string) => `${prefix}:jobs:label:${label}`,
  /** Not of `local`, whose jobs are all that there are where nobody else is. */
  jobsOfUser: (user: string) => `${prefix}:jobs:user:${user}`,
  jobsOfFormat: (format: string) => `${prefix}:jobs:format:${format}`,
});

const createFileKeys = (prefix: string) => ({
  /** Hash: an upload, by its user and the SHA-256 of its bytes. */
  file: (user: string, sha256: string) => `${prefix}:file:${user}:${sha256}`,
  /** Sorted set by time: jobs and arrays that were submitted with it, and perhaps have ended. */
  jobsWithFile: (user: string, sha256: string) => `${prefix}:file:${user}:${sha256}:jobs`,
  /** Sorted set of equal scores: `<created_at>:<sha256>`. */
  filesOfUser: (user: string) => `${prefix}:files:user:${user}`,
  /** Sorted set by last use: `<sha256>:<user>`. */
  files: `${prefix}:files`,
  /** Hash by user: the bytes of all uploads. */
  fileBytes: `${prefix}:file_bytes`,
  /** String: somebody waits for the outputs of a running job (empty), or what they are, as JSON. Gone after a while. */
  partialOutputs: (job_id: string) => `${prefix}:partial:${job_id}`,
  /** String, JSON: who keeps what for how long. */
  retention: `${prefix}:retention`,
  /** String: somebody looks at present for what of it is kept no longer, or has just done so. Gone after a while. */
  sweeping: (what: 'records' | 'files') => `${prefix}:sweeping:${what}`,
  /** String: the object that marks the file store as this installation's, once it is there. A person removes it to begin with an empty store. */
  filesMarked: `${prefix}:files_marked`,
  /** String: what workers sign their requests for objects with. */
  fileSecret: `${prefix}:file_secret`,
});

const createBrokerKeys = (prefix: string) => ({
  /** String: how many signs of life workers have given. It only grows. */
  beats: `${prefix}:beats`,
  /** String, Unix ms: the broker was found to have gone back to an older state, and nothing begins until a person removes this. */
  wentBack: `${prefix}:went_back`,
});

const createQueueKeys = (prefix: string) => ({
  /** Sorted set by priority, then age: pending jobs that are not in BullMQ yet. */
  backlog: (className: string) => `${prefix}:backlog:${className}`,
  /** Sorted set by time of dispatch: pending jobs that BullMQ holds a message for. */
  dispatched: (className: string) => `${prefix}:dispatched:${className}`,
  /** Hash: the job that each ticket of a class in BullMQ was issued for. */
  tickets: (className: string) => `${prefix}:tickets:${className}`,
  /** String: the job and epoch that one call of a worker was answered with. Gone after a while. */
  claimCall: (call: string) => `${prefix}:claim:${call}`,
  /** Sorted set by rank in the fair share: users with jobs of a class that wait for a machine. */
  eligible: (className: string) => `${prefix}:eligible:${className}`,
  /** Sorted set by the score of its first job: the shapes of a user's jobs of a class that wait for a machine. */
  shapes: (className: string, user: string) => `${prefix}:shapes:${className}:${user}`,
  /** Sorted set by priority, then age: the jobs of one shape that wait for a machine. */
  queue: (className: string, user: string, shapeHash: string) => `${prefix}:queue:${className}:${user}:${shapeHash}`,
  /** Hash: how many jobs of each shape of a user wait for a machine. */
  queueLengths: (className: string, user: string) => `${prefix}:queue_lengths:${className}:${user}`,
  /** Set: classes that ever had a job. */
  classes: `${prefix}:classes`,
  /** Set: engines that found nothing for them among the jobs of a class. */
  hungry: (className: string) => `${prefix}:hungry:${className}`,
  /** Sorted set by due time: jobs that wait for their next attempt. */
  due: `${prefix}:due`,
  /** Sorted set by deadline: jobs that may not be pending after it. */
  queueDeadlines: `${prefix}:queue_deadlines`,
});

const createShareKeys = (prefix: string) => ({
  /** Sorted set by level: who has used how much. */
  shares: `${prefix}:shares`,
  /** Hash: the weights of users that have not 1. */
  weights: `${prefix}:weights`,
  /** Hash: what each group of jobs holds now, as `<group>|<field>`. */
  tally: `${prefix}:tally`,
  /** Hash: up to which job a recount of the tally has come; and the tally that it makes. */
  recount: `${prefix}:recount`,
  recountTally: `${prefix}:recount:tally`,
  /** Hash of JSON: quotas by group. */
  quotas: `${prefix}:quotas`,
  /** String: a quota has lately held a job back that a machine had room for. Gone after a while. */
  quotaBound: `${prefix}:quota_bound`,
  /** Hash: how long jobs last, in ms, by `user|class`. */
  durations: `${prefix}:durations`,
  /** List, newest first: how long the last jobs of a user ran in a class, in ms. */
  runTimes: (user: string, className: string) => `${prefix}:run_times:${user}|${className}`,
  /** Hash: what all machines have together. */
  cluster: `${prefix}:cluster`,
  /** Hash: `half_life_seconds`. */
  settings: `${prefix}:settings`,
});

/**
 * Every key that Berth writes, except BullMQ's own (under `<prefix>:bull`). The scripts build the same names from the
 * prefix, so a name changes here and there together.
 */
export const createKeys = (prefix: string) => ({
  prefix,
  /** String: the random name of this installation. */
  installation: `${prefix}:installation`,
  /** Hash: API keys by id, as JSON; `<id>|revoked_at`, `<id>|used_at`; and `made`, how many there ever were. */
  apiKeys: `${prefix}:api_keys`,
  /** String: what the dashboard's cookies are signed with. */
  cookieSecret: `${prefix}:cookie_secret`,
  /** List: jobs and arrays that wait for the end of this one, as `<id> <condition>`. */
  dependants: (id: string) => `${prefix}:dependants:${id}`,
  /** List: what has ended and has dependants to be judged, as `<id> <state>`. */
  unmet: `${prefix}:unmet`,
  ...createJobKeys(prefix),
  ...createArrayKeys(prefix),
  ...createBrokerKeys(prefix),
  ...createQueueKeys(prefix),
  ...createFileKeys(prefix),
  ...createShareKeys(prefix),
  /** Sorted set by finish time, for retention. */
  finished: `${prefix}:finished`,
  /** String, `<state> <user>`: how a job ended that is in the archive, for whoever is about to depend on it. Gone after a minute. */
  ended: (id: string) => `${prefix}:ended:${id}`,
  /** String: the newest job that was moved to the archive. Beside it, `archived:<id>`: when such a job was made, while an Idempotency-Key stands for it. */
  archivedNewest: `${prefix}:archived:newest`,
  /** Set: nodes that take no more jobs. */
  drained: `${prefix}:drained`,
  /** Sorted set by expiry: jobs that a worker holds. */
  leases: `${prefix}:leases`,
  ...createEngineKeys(prefix),
  /** Hash of JSON by id: jobs that are submitted again and again. */
  schedules: `${prefix}:schedules`,
  /** Hash of JSON by schedule: its last run. */
  scheduleRuns: `${prefix}:schedule_runs`,
  /** Hash of JSON by worker: last heartbeats. */
  workers: `${prefix}:workers`,
  /** Hash: counters and histogram buckets of jobs since the installation began. */
  counters: `${prefix}:counters`,
  /** String: the job id and body hash that an Idempotency-Key stands for. */
  idempotency: (hash: string) => `${prefix}:idempotency:${hash}`,
  /** String: the last number that a job of the job orchestrator's format was given. */
  lastJobNumber: `${prefix}:job_numbers:last`,
  /** String: up to which of them files were looked at whose time is up; and set: those of them that are to be looked at again. */
  jobNumbersWalked: `${prefix}:job_numbers:walked`,
  lateJobNumbers: `${prefix}:job_numbers:late`,
  /** String: the job that has the number, and its user. Gone after a while. */
  jobNumber: (number: number) => `${prefix}:job_numbers:${number}`,
  /** List that clients of the workload runner's format read; its name is theirs. */
  workloadLog: (id: string) => `job_logs:${id}`,
  /** The prefix that BullMQ gets. */
  bull: `${prefix}:bull`,
});

export type Keys = ReturnType<typeof createKeys>;
