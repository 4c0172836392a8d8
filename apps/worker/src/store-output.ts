import type { Claim, LogNote, LogPiece, LogStore } from '@berth/store';
import type { Logger } from 'pino';

interface StoringOptions {
  claim: Pick<Claim, 'job_id' | 'epoch' | 'owner' | 'attempt'>;
  logs: LogStore;
  log: Logger;
  /** The number of the first piece. */
  first: number;
}

/**
 * Sends pieces to the store, one batch behind the other without waiting. Where the store refuses a batch, the next one begins with a note of
 * it. Once the epoch is somebody else's nothing more is sent: the log is theirs.
 */
export const createStoring = ({ claim, logs, log, first }: StoringOptions) => {
  const { job_id, attempt } = claim;
  /** Bytes that the store refused since the last piece that it took. */
  let lost = { stdout: 0, stderr: 0 };
  let next = first;
  let stale = false;
  let sent: Promise<unknown> = Promise.resolve();

  const takeLost = (): LogNote[] => {
    const about = lost;
    lost = { stdout: 0, stderr: 0 };
    const count = about.stdout + about.stderr;
    if (count === 0) return [];
    const bytes = Buffer.from(`\n[berth] ${count} bytes of output could not be stored\n`);
    return [{ stream: 'note', attempt, bytes, about }];
  };
  const lose = (pieces: (LogPiece | LogNote)[]): void => {
    for (const piece of pieces) {
      if (piece.stream !== 'note') lost[piece.stream] += piece.bytes.length;
      else if ('about' in piece && piece.about !== 'end') {
        lost.stdout += piece.about.stdout;
        lost.stderr += piece.about.stderr;
      }
    }
  };

  return {
    store(taken: LogPiece[], lines: string[]): void {
      if (stale || (taken.length === 0 && lines.length === 0)) return;
      const pieces = [...takeLost(), ...taken];
      const batch = { first: next, pieces, lines };
      next += pieces.length;
      const stored = logs.append(claim, batch).then(
        (reply) => {
          stale ||= reply === 'stale';
        },
        (err: unknown) => {
          lose(pieces);
          log.warn({ err, job_id }, 'could not store output');
        },
      );
      sent = Promise.all([sent, stored]);
    },
    /** Everything sent so far has been answered. */
    async done(): Promise<void> {
      await sent;
    },
  };
};
