import { type Claim, isUnavailable, type LogBatch, type LogNote, type LogPiece, type LogStore } from '@berth/store';
import type { Logger } from 'pino';
import { pause } from './waiting.js';

interface StoringOptions {
  claim: Pick<Claim, 'job_id' | 'epoch' | 'owner' | 'attempt'>;
  logs: LogStore;
  log: Logger;
  /** The number of the first piece. */
  first: number;
}

/** How soon a store that refuses output for now is offered it again. */
const AGAIN_MS = 500;
/** And for how long at the end of the output. */
export const PATIENCE_MS = 10_000;
/** What a store that refuses it is kept for meanwhile. */
const MOST_HELD_BYTES = 1024 * 1024;
/** So many pieces are sent at once. */
const MOST_PIECES = 64;

/** Bytes that the store refused since the last piece that it took. */
const createLosses = (attempt: number) => {
  let lost = { stdout: 0, stderr: 0 };
  return {
    add(refused: (LogPiece | LogNote)[]): void {
      for (const piece of refused) {
        if (piece.stream !== 'note') lost[piece.stream] += piece.bytes.length;
        else if ('about' in piece && piece.about !== 'end') {
          lost.stdout += piece.about.stdout;
          lost.stderr += piece.about.stderr;
        }
      }
    },
    /** As the note that stands in their place. */
    take(): LogNote[] {
      const about = lost;
      lost = { stdout: 0, stderr: 0 };
      const count = about.stdout + about.stderr;
      if (count === 0) return [];
      const bytes = Buffer.from(`\n[berth] ${count} bytes of output could not be stored\n`);
      return [{ stream: 'note', attempt, bytes, about }];
    },
  };
};

const toSize = (pieces: LogPiece[]): number => pieces.reduce((size, { bytes }) => size + bytes.length, 0);

/**
 * Sends pieces to the store in order, one batch after the other has been answered; the first at once. What a full store refuses is held
 * and offered again: it may be full for a moment only. What is too much to hold is lost, and the next batch begins with a note of it, so that
 * nothing that comes after a loss is stored before the note. After the end no next batch comes: then what is lost is noted by itself,
 * which a full store takes. Once the epoch is somebody else's nothing more is sent: the log is theirs.
 */
export const createStoring = ({ claim, logs, log, first }: StoringOptions) => {
  const { job_id, attempt } = claim;
  const losses = createLosses(attempt);
  const pieces: LogPiece[] = [];
  const lines: string[] = [];
  let next = first;
  let stale = false;
  let leaving = false;
  let sending: Promise<void> | undefined;
  /** Of `performance.now()`. Infinity: more is to come. */
  let offeredUntil = Number.POSITIVE_INFINITY;

  const takeBatch = (): Required<LogBatch> => {
    const batch = { first: next, pieces: [...losses.take(), ...pieces.splice(0, MOST_PIECES)], lines: lines.splice(0) };
    next += batch.pieces.length;
    return batch;
  };
  const isTooMuch = (refused: LogPiece[]): boolean =>
    toSize(refused) + toSize(pieces) > MOST_HELD_BYTES || performance.now() > offeredUntil;
  const send = async (batch: LogBatch): Promise<void> => {
    for (;;) {
      try {
        stale = (await logs.append(claim, batch)) === 'stale';
        return;
      } catch (err) {
        stale ||= leaving;
        if (stale) return;
        if (!isUnavailable(err) || isTooMuch(batch.pieces)) {
          losses.add(batch.pieces);
          return log.warn({ err, job_id }, 'could not store output');
        }
        await pause(AGAIN_MS);
      }
    }
  };
  const sendAll = async (): Promise<void> => {
    while (!stale && pieces.length + lines.length > 0) await send(takeBatch());
    sending = undefined;
  };

  return {
    store(taken: LogPiece[], more: string[]): void {
      if (stale || (taken.length === 0 && more.length === 0)) return;
      pieces.push(...taken);
      lines.push(...more);
      sending ??= sendAll();
    },
    /** Everything so far has been answered. What is refused now is not lost: whoever goes on reads it again from the engine. */
    async leave(): Promise<void> {
      leaving = true;
      await sending;
    },
    /** Everything has been stored or noted as lost. */
    async end(): Promise<void> {
      offeredUntil = performance.now() + PATIENCE_MS;
      await sending;
      const note = losses.take();
      if (stale || note.length === 0) return;
      await logs.append(claim, { first: next, pieces: note }).catch((err) => {
        log.error({ err, job_id }, 'could not note that output is missing');
      });
    },
  };
};
