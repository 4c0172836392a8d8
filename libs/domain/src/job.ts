/**
 * The life of a job, as a table of allowed edges. The same table stands in `libs/store/src/scripts/transition.lua`, where
 * every change of state happens as one compare-and-set; a test in `libs/store/test` walks every pair and proves that the
 * two agree.
 *
 *   pending ──claimed──► running ──completed | failed | cancelled──► (terminal: absorbs everything)
 *    │   ▲                  │
 *    │   └── retried | released | lost
 *    └── failed | cancelled ──► (terminal: it waited too long, or nobody wants it any more)
 *
 * retried: by policy after a failed attempt (an attempt is used up)
 * released: a worker gave it back that was told to kill, or whose engine or file store was away before anything began (nothing is used up)
 * lost: its worker or engine died (a restart of the platform is counted)
 *
 * A pending job may be `held` (kept back until it is `unheld`) and `reprioritized`: it stays pending.
 *
 * A running job may change hands without any of this: `adopted` by another worker of the same machine, its container goes on.
 */
export const JOB_STATES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];

export const EVENT_TYPES = [
  'submitted',
  'claimed',
  'started',
  'adopted',
  'cancel_requested',
  'completed',
  'failed',
  'cancelled',
  'retried',
  'released',
  'lost',
  'held',
  'unheld',
  'reprioritized',
  'ready',
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** What each event means, for people who read a job's history. */
export const EVENT_MEANINGS: Record<EventType, string> = {
  submitted: 'accepted and waiting for a worker',
  claimed: 'a worker took it and reserved its CPUs and memory',
  started: 'its container is running',
  adopted: 'another worker of the same machine took it over; its container went on running',
  cancel_requested: 'someone asked to cancel it; the container gets TERM, then KILL',
  completed: 'ended with exit code 0',
  failed: 'ended without success; the cause says why',
  cancelled: 'ended because someone asked for it, or because what it was to run after ended otherwise',
  retried: 'the attempt failed and the job will be tried again',
  released:
    'its worker gave it back: it was told to kill what it runs, or could not begin, and then the message says why; no attempt was used up',
  lost: 'its worker or engine died; the platform will start it again',
  held: 'someone keeps it back; it will not be started until it is released',
  unheld: 'someone released it from the hold; it waits for a machine again',
  reprioritized: 'someone changed its priority',
  ready: 'the jobs that it was to run after have ended as it asked; it waits for a machine now',
};

/** For each event, the states it may happen in and the state it leads to. What is absent is refused. */
export const EDGES: Record<EventType, Partial<Record<JobState, JobState>>> = {
  submitted: {},
  claimed: { pending: 'running' },
  started: { running: 'running' },
  adopted: { running: 'running' },
  cancel_requested: { running: 'running' },
  completed: { running: 'completed' },
  failed: { pending: 'failed', running: 'failed' },
  cancelled: { pending: 'cancelled', running: 'cancelled' },
  retried: { running: 'pending' },
  released: { running: 'pending' },
  lost: { running: 'pending' },
  held: { pending: 'pending' },
  unheld: { pending: 'pending' },
  reprioritized: { pending: 'pending' },
  ready: { pending: 'pending' },
};

/** The state that an event leads to, or undefined where it is refused. */
export const applyEvent = (state: JobState, event: EventType): JobState | undefined => EDGES[event][state];

export const isTerminal = (state: JobState): boolean =>
  state === 'completed' || state === 'failed' || state === 'cancelled';

/** One entry of a job's history. `at` is in Unix milliseconds by the broker's clock. */
export interface JobEvent {
  /** 1 for the first event of the job, then without gaps. */
  seq: number;
  type: EventType;
  at: number;
  state: JobState;
  data: Record<string, unknown>;
}
