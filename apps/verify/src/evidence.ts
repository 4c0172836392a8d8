import type { JobEvent, Resources } from '@berth/domain';
import type { JobRecord, LogEntry } from '@berth/store';

/** A job as the record tells it: what it is, and how it came to be so. */
export interface JobStory {
  record: JobRecord;
  /** Oldest first. */
  history: JobEvent[];
}

/** A container with Berth's labels, as its engine shows it. */
export interface SeenContainer {
  id: string;
  job_id: string;
  epoch: number;
  /** Unix seconds. */
  deadline: number;
  running: boolean;
  paused: boolean;
}

/** One thing that an engine said of a container. */
export interface EngineEvent {
  engine: string;
  /** `kill`: by KILL. */
  action: 'create' | 'start' | 'die' | 'destroy' | 'pause' | 'unpause' | 'kill';
  /** Unix milliseconds. */
  at_ms: number;
  container: string;
  job_id: string;
  epoch: number;
  /** Whose container it is. */
  installation: string;
}

/** What a job itself wrote of its start. */
export interface LedgerLine {
  job_id: string;
  epoch: number;
}

/** A state that some API replica showed. Those of one job stand in the order in which they were asked for, one after the other. */
export interface Observation {
  job_id: string;
  state: string;
}

/** What the running jobs of one engine have reserved, by the engine's ledger and by their own records. */
export interface Reservation {
  engine: string;
  ledger: Resources;
  jobs: Resources;
  capacity: Resources | undefined;
}

/** What should be gone once every job has ended. */
export interface Leftovers {
  containers: string[];
  leases: string[];
  queued: string[];
  waiting: string[];
  /** Counters of groups that hold nothing any more, with what they say. */
  counted: string[];
}

/** A job's stored output, and what it should be. */
export interface StoredLog {
  job_id: string;
  /** Of the last attempt, oldest first. */
  entries: LogEntry[];
  /** The true stdout, from its first byte. */
  expected: Buffer;
  /** Whether the container came to its own end: then nothing may be missing. */
  whole: boolean;
}
