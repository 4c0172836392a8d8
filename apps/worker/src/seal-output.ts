import { type Claim, FilesUnavailable, isUnavailable, type LogPiece, type LogStore, toBrokerBytes } from '@berth/store';
import type { Logger } from 'pino';
import { pause } from './waiting.js';

/** All bytes here are as `toBrokerBytes` counts them. While a job runs, the broker's part of its log is moved into the file store when it has grown to this. */
const SEAL_BYTES = 1024 * 1024;
/** The same at the end of the output. What is less is left to the API, so that a short job ends without a file. */
const SEAL_AT_END_BYTES = 64 * 1024;
/** More of a log than this is not given to the broker. */
const MOST_BYTES = 8 * 1024 * 1024;
/** How soon it is tried again where the file store is away. */
const AGAIN_MS = 1_000;
const LONGEST_PAUSE_MS = 16_000;

interface SealingOptions {
  claim: Pick<Claim, 'job_id' | 'epoch' | 'owner'>;
  logs: Pick<LogStore, 'seal'>;
  log: Logger;
  /** What stands in the broker already. */
  unsealed_bytes: number;
}

/**
 * Moves what the broker has of a job's log into segments, beside the writing of it and one segment at a time. A file store that is away is
 * asked again; meanwhile the broker's part grows until it is `full`.
 */
export const createSealing = ({ claim, logs, log, unsealed_bytes }: SealingOptions) => {
  let unsealed = unsealed_bytes;
  let threshold = SEAL_BYTES;
  let over = false;
  let closed = false;
  let running = false;
  let ring = (): void => {};

  /** Whether to go on. */
  const sealOne = async (): Promise<boolean> => {
    const sealed = await logs.seal(claim.job_id, claim);
    if (sealed.kind === 'stale') return false;
    unsealed = sealed.kind === 'empty' ? 0 : Math.max(0, unsealed - sealed.bytes);
    ring();
    return true;
  };
  const run = async (): Promise<void> => {
    for (let again_ms = AGAIN_MS; unsealed >= threshold && !over; ) {
      try {
        over ||= !(await sealOne());
        again_ms = AGAIN_MS;
      } catch (err) {
        const passes = err instanceof FilesUnavailable || isUnavailable(err);
        log[passes ? 'warn' : 'error']({ err, job_id: claim.job_id }, 'a log is not moved into the file store');
        over ||= closed;
        if (!over) await pause(again_ms);
        again_ms = Math.min(2 * again_ms, LONGEST_PAUSE_MS);
      }
    }
    running = false;
  };
  const start = (): void => {
    if (over || running || unsealed < threshold) return;
    running = true;
    void run();
  };
  start();

  return {
    get full() {
      return unsealed >= MOST_BYTES;
    },
    /** Settles when something has been sealed. */
    moved: (): Promise<void> =>
      new Promise((resolve) => {
        ring = resolve;
      }),
    add(pieces: LogPiece[]): void {
      unsealed += pieces.reduce((sum, piece) => sum + toBrokerBytes(piece), 0);
      start();
    },
    /** No more comes. Nobody waits for what is still to be sealed: where it fails, the API does it. */
    close(): void {
      closed = true;
      threshold = SEAL_AT_END_BYTES;
      start();
    },
    /** Another worker goes on. */
    leave(): void {
      over = true;
    },
  };
};

export type Sealing = ReturnType<typeof createSealing>;
