import type { JobSpecInput } from '../job-spec.js';
import { type Parsed, parseFields } from './request-fields.js';

/** A shell command as the coordinator and its runner take it: `POST /jobs` and `POST /execute` have one body. */
export interface CommandRequest {
  command: string;
  /** Seconds of run time. */
  timeout: number;
}

export const EMPTY_COMMAND = 'Command cannot be empty';

const TIMEOUT = { ge: 1, le: 300 };
const DEFAULT_TIMEOUT_SECONDS = 30;

/** Unknown fields are ignored, as they were. A blank command passes: whoever answers refuses it in its own way. */
export const parseCommandRequest = (body: unknown): Parsed<CommandRequest> =>
  parseFields(body, (fields) => ({
    command: fields.text('command'),
    timeout: fields.integerOr('timeout', TIMEOUT, DEFAULT_TIMEOUT_SECONDS),
  }));

export const isBlank = (command: string): boolean => command.trim() === '';

/**
 * The format names no size, so each command gets a small one: half a CPU lets twice as many run at a time as there are CPUs.
 * Past its timeout it was killed at once; a second is left here for programs that tidy up.
 */
export const toCommandSpec = ({ command, timeout }: CommandRequest): JobSpecInput => ({
  command,
  timeout_seconds: timeout,
  cpus: 0.5,
  memory_mb: 256,
  network: 'egress',
  stop_grace_seconds: 1,
});
