import { type Claim, isUnavailable, type LogBatch, type LogPiece, type LogStore } from '@berth/store';
import type { Logger } from 'pino';
import { createOutputBudget, type OutputBudget } from './output-budget.js';
import { createSealing, type Sealing } from './seal-output.js';
import { pause } from './waiting.js';
import { createLosses, createWaitingPieces } from './waiting-output.js';

interface StoringOptions {
  claim: Pick<Claim, 'job_id' | 'epoch' | 'owner' | 'attempt'>;
  logs: LogStore;
  log: Logger;
  /** The number of the first piece. */
  first: number;
  /** What stands in the broker already of this log. */
  unsealed_bytes?: number;
  budget?: OutputBudget | undefined;
}

/** How soon a store that refuses output for now is offered it again. */
const AGAIN_MS = 500;
/** And for how long at the end of the output. */
export const PATIENCE_MS = 10_000;
/** What a store that refuses it is kept for meanwhile. */
const MOST_HELD_BYTES = 1024 * 1024;
/** So many pieces are sent at once, of so many bytes. */
const MOST_PIECES = 64;
const MOST_BATCH_BYTES = 1024 * 1024;
/** Clients keep no more lines than this. */
const MOST_LINES = 1_000;

const toSize = (pieces: LogPiece[]): number => pieces.reduce((size, { bytes }) => size + bytes.length, 0);

interface Offering {
  /** Another worker goes on: what is not stored is not lost. */
  leaving: boolean;
  /** Until when a store that refuses is offered it again, of `performance.now()`. Infinity: more is to come. */
  until: number;
  /** What waits behind the batch that is offered. */
  waiting_bytes: () => number;
}

type Offered = 'stored' | 'stale' | 'lost';

/** Offers one batch until it is stored, or lost, or somebody else's. */
const createOffer = ({ claim, logs, log }: StoringOptions, sealing: Sealing, offering: Offering) => {
  const { job_id } = claim;
  const isOver = (): boolean => performance.now() > offering.until;
  const giveUp = (why: object): 'stale' | 'lost' => {
    if (offering.leaving) return 'stale';
    log.warn({ ...why, job_id }, 'could not store output');
    return 'lost';
  };
  /** Waits while the broker has as much of this log as it may have. */
  const untilRoom = async (): Promise<void> => {
    while (sealing.full && !offering.leaving && !isOver()) await Promise.race([sealing.moved(), pause(AGAIN_MS)]);
  };
  const isTooMuch = ({ pieces }: LogBatch): boolean =>
    toSize(pieces) + offering.waiting_bytes() > MOST_HELD_BYTES || isOver();
  /** Undefined: it is to be offered again. */
  const send = async (batch: LogBatch): Promise<Offered | undefined> => {
    try {
      const reply = await logs.append(claim, batch);
      if (reply === 'stored') sealing.add(batch.pieces);
      return reply;
    } catch (err) {
      return offering.leaving || !isUnavailable(err) || isTooMuch(batch) ? giveUp({ err }) : undefined;
    }
  };

  return async (batch: LogBatch): Promise<Offered> => {
    if (sealing.full) await untilRoom();
    if (sealing.full) return giveUp({ why: 'what the broker has of it is not moved into the file store' });
    for (;;) {
      const offered = await send(batch);
      if (offered) return offered;
      await pause(AGAIN_MS);
    }
  };
};

/**
 * Sends pieces to the store in order, one batch after the other has been answered; the first at once. What a full store refuses is held
 * and offered again: it may be full for a moment only. What is too much to hold is lost, and the next batch begins with a note of it, so that
 * nothing that comes after a loss is stored before the note. After the end no next batch comes: then what is lost is noted by itself,
 * which a full store takes. Once the epoch is somebody else's nothing more is sent: the log is theirs.
 *
 * The broker is given no more than it passes on to the file store: where that cannot keep up, pieces wait here as well.
 */
export const createStoring = (options: StoringOptions) => {
  const { claim, logs, log, unsealed_bytes = 0, budget = createOutputBudget() } = options;
  const losses = createLosses(claim.attempt);
  const waiting = createWaitingPieces(claim.attempt, budget.open());
  const sealing = createSealing({ claim, logs, log, unsealed_bytes });
  const offering: Offering = { leaving: false, until: Number.POSITIVE_INFINITY, waiting_bytes: () => waiting.size };
  const offer = createOffer(options, sealing, offering);
  let lines: string[] = [];
  let next = options.first;
  let stale = false;
  let sending: Promise<void> | undefined;

  const takeBatch = (): Required<LogBatch> => {
    const batch = { first: next, pieces: [...losses.take(), ...waiting.take(MOST_PIECES, MOST_BATCH_BYTES)], lines };
    lines = [];
    next += batch.pieces.length;
    return batch;
  };
  const sendAll = async (): Promise<void> => {
    while (!stale && waiting.count + lines.length > 0) {
      const batch = takeBatch();
      const offered = await offer(batch);
      if (offered === 'lost') losses.add(batch.pieces);
      stale = offered === 'stale';
      waiting.release(batch.pieces);
    }
    sending = undefined;
  };

  return {
    store(taken: LogPiece[], more: string[]): void {
      if (stale || (taken.length === 0 && more.length === 0)) return;
      taken.forEach(waiting.push);
      lines = [...lines, ...more].slice(-MOST_LINES);
      sending ??= sendAll();
    },
    /** Everything so far has been answered. What is refused now is not lost: whoever goes on reads it again from the engine. */
    async leave(): Promise<void> {
      offering.leaving = true;
      sealing.leave();
      await sending;
    },
    /** Everything has been stored or noted as lost. */
    async end(): Promise<void> {
      offering.until = performance.now() + PATIENCE_MS;
      await sending;
      const pieces = losses.take();
      if (stale) return;
      if (pieces.length > 0) {
        await logs.append(claim, { first: next, pieces }).catch((err) => {
          log.error({ err, job_id: claim.job_id }, 'could not note that output is missing');
        });
      }
      sealing.close();
    },
  };
};
