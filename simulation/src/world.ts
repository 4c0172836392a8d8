import type { Resources, RetryPolicy } from '@berth/domain';
import type { Agenda } from './agenda.js';
import type { Container, Engine } from './engine.js';
import type { Mutation } from './mutations.js';
import type { Process } from './process.js';
import type { Random } from './random.js';
import type { RecordModel } from './record/record-model.js';

/** What a job's container does when it is left alone. */
export interface Program {
  kind: 'runs' | 'start_failed' | 'image_not_found' | 'image_pull_failed';
  pull_ms: number;
  duration_ms: number;
  exit_code: number;
  /** So many attempts end with exit code 1 before one does as the rest says. */
  fails_first: number;
  memory: 'enough' | 'killed' | 'child_killed';
  ignores_term: boolean;
  bytes_per_second: number;
  /** Takes its engine down soon after each start. */
  deadly: boolean;
}

export interface SimJob {
  id: string;
  program: Program;
  ask: Resources;
  timeout_ms: number;
  grace_ms: number;
  policy: RetryPolicy;
  queue_timeout_ms: number | undefined;
  /** What really happened. */
  starts: number;
  /** Starts that no rule could have prevented: see docs/reliability.md. */
  excused_starts: number;
  cancel_answered: boolean;
  /** Every container that was ever made of it. */
  containers: Container[];
}

export interface Cut {
  until: number;
  /** Requests still arrive; only the answers do not. */
  replies_only: boolean;
}

/** What workers leave behind for the reaper of their machine. */
interface LeaseNote {
  exclusive: boolean;
  renewed_at: number;
  lease_ms: number;
}

export interface Machine {
  name: string;
  engine: Engine;
  capacity: Resources;
  processes: Set<Process>;
  cut: Cut | undefined;
  lease: LeaseNote | undefined;
  /** Since when its reaper has been there. */
  reaper_since: number | undefined;
}

export interface World {
  agenda: Agenda;
  random: Random;
  record: RecordModel;
  machines: Machine[];
  jobs: Map<string, SimJob>;
  /** Tickets in the order of their messages; one may be there twice, or be of no use any more. */
  queue: string[];
  mutation: Mutation | undefined;
  /** Faults are on: calls may be slow, and answers lost. */
  noisy: boolean;
  /** Whether anything at all may go wrong in this run. */
  calm: boolean;
  /** Only such things go wrong that must not cost a job an epoch. */
  harmless: boolean;
  frozen_until: number;
  /** Tells the workers of a machine. */
  publish: (machine: string, word: 'orphans' | 'room' | `cancel ${string}`) => void;
  /** Counts that something happened. */
  tally: (what: string) => void;
  /** A line for the trace; the text is made only where one is written. */
  note: (line: () => string) => void;
  /** An invariant does not hold. */
  fail: (invariant: string, detail: string) => void;
}
