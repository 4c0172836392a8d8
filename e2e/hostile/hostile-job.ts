/** A job that means harm, and how it must end. `hostile.test.ts` runs it beside a harmless one and looks at what is left. */
export interface HostileJob {
  /** What it does. */
  title: string;
  /** The body of `POST /v1/jobs`. More than `STANDARD_MB` of memory: it runs in a class with the strict profile. */
  spec: { command: string; memory_mb?: number } & Record<string, unknown>;
  ends: { state: string; cause: string | null; exit_code: number | null } & Record<string, unknown>;
  /** Of its only attempt. */
  evidence: Record<string, unknown>;
  /** Looks at it while it runs. */
  meanwhile?: (seen: Running) => Promise<void>;
  /** Looks at all that it wrote to stdout, Berth's notes included. */
  stdout?: (text: string) => void;
  /** Looks at what is kept of its files, and at what is said of the rest. */
  left?: (artifacts: { files: { path: string }[]; refused: number; notes: string[] }) => void;
  /** Its output grows the worker at most by so much, in MB. */
  worker_growth_mb?: number;
}

interface Running {
  /** Processes of its container, as the machine sees them. */
  countProcesses(): number;
  /** Until this is true, while it runs. */
  until(what: string, look: () => boolean): Promise<void>;
}

/** What is kept of a job's files at most. */
export const MAX_OUTPUTS = { files: 300, bytes: 10_000_000 };

/** The most memory of a job whose container has the standard profile. */
export const STANDARD_MB = 256;
