import { AppError } from '@berth/domain';
import { type Backlog, type BrokerState, isUnavailable } from '@berth/store';
import type { Logger } from 'pino';
import { type Disk, findRefusals, type Refusal } from './refusals.js';

/** Out of step with the relay's sweep of once a second, so that the two do not meet each time. */
export const PERIOD_MS = 700;
/** A look that is older than this says nothing about now. */
const STALE_MS = 5_000;
/** What closes admission is seldom over in the two seconds that a broken connection asks for. */
const RETRY_AFTER_SECONDS = 10;

/**
 * Decides whether new jobs are accepted. It looks at the broker, the disk and the backlog by the clock, and not for each request; a
 * submission asks before anything is written. Where the last good look is too old, the submission looks itself, and fails as
 * everything does where the broker is away. Between two looks the broker may run full: then it refuses the submission by itself.
 *
 * Every replica decides alone, by the same facts. Only submissions ask: reads, cancels and what runs go on.
 */
export interface Admission {
  /** Throws AppError `unavailable` that says why and what to do, or what a look at an absent broker throws. */
  admit(): Promise<void>;
  /** Why jobs are refused, by the last good look; empty: they are not. */
  readonly refusals: readonly Refusal[];
  close(): Promise<void>;
}

interface AdmissionOptions {
  readBrokerState: () => Promise<BrokerState>;
  /** What is wrong where the broker has gone back to an older state, or null. */
  findWentBack: () => Promise<string | null>;
  findStuck: Backlog['findStuck'];
  /** Undefined where the broker's disk is not one of this machine. */
  readDisk: () => Promise<Disk | undefined>;
  classes: string[];
  /** How many messages of a class BullMQ is given at a time. */
  window: number;
  /** Hears of every good look. */
  onLook: (refusals: readonly Refusal[]) => void;
  log: Logger;
  /** Milliseconds that only go forward. */
  now?: () => number;
}

interface Waiter {
  job_id: string;
  since: number;
  /** When it was last found waiting. */
  last: number;
  missed: boolean;
}

/** A relay whose queue refuses it holds a job for a moment each time: one look that does not find the job proves nothing. */
const toWaiter = (before: Waiter | null, job_id: string | null, at: number): Waiter | null => {
  if (before && before.job_id === job_id) return { ...before, last: at, missed: false };
  if (before && !before.missed) return { ...before, missed: true };
  return job_id === null ? null : { job_id, since: at, last: at, missed: false };
};

/** How long the job that has been kept waiting longest was seen to be so, in milliseconds; 0 where none is. */
const createOutboxWatch = ({ findStuck, classes, window, now }: Required<AdmissionOptions>) => {
  let waiters: (Waiter | null)[] = classes.map(() => null);
  return async (): Promise<number> => {
    const seen = waiters.map((waiter) => waiter?.job_id ?? null);
    const found = await findStuck(classes, window, seen);
    const at = now();
    waiters = found.map((job_id, i) => toWaiter(waiters[i] ?? null, job_id, at));
    return Math.max(0, ...waiters.map((waiter) => (waiter ? waiter.last - waiter.since : 0)));
  };
};

const toRefusal = (refusals: readonly Refusal[]): AppError =>
  new AppError('unavailable', `No jobs are accepted now. ${refusals.map(({ message }) => message).join(' ')}`, {
    details: { reasons: refusals.map(({ reason }) => reason), retry_after_seconds: RETRY_AFTER_SECONDS },
  });

const toReasons = (refusals: readonly Refusal[]): string => refusals.map(({ reason }) => reason).join(', ');

export const startAdmission = (given: AdmissionOptions): Admission => {
  const options = { now: () => performance.now(), ...given };
  const { readBrokerState, findWentBack, readDisk, onLook, log, now } = options;
  const readOutboxAge = createOutboxWatch(options);
  let refusals: readonly Refusal[] = [];
  let lookedAt: number | undefined;
  let looking: Promise<void> | undefined;

  const take = (found: readonly Refusal[]): void => {
    const changed = toReasons(found) !== toReasons(refusals);
    refusals = found;
    onLook(found);
    if (!changed) return;
    if (found.length > 0) log.error({ refusals: found }, 'no jobs are accepted');
    else log.info('jobs are accepted again');
  };
  const look = async (): Promise<void> => {
    const began = now();
    const looks = [readBrokerState(), findWentBack(), readOutboxAge(), readDisk()] as const;
    const [broker, went_back, outbox_age_ms, disk] = await Promise.all(looks);
    take(findRefusals({ broker, went_back, outbox_age_ms, disk }));
    lookedAt = began;
  };
  const lookOnce = (): Promise<void> => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
  const lookQuietly = (): Promise<void> =>
    lookOnce().catch((err) => {
      if (!isUnavailable(err)) log.warn({ err }, 'could not look whether jobs can be accepted');
    });
  const timer = setInterval(lookQuietly, PERIOD_MS);
  void lookQuietly();

  return {
    async admit() {
      if (lookedAt === undefined || now() - lookedAt > STALE_MS) await lookOnce();
      if (refusals.length > 0) throw toRefusal(refusals);
    },
    get refusals() {
      return refusals;
    },
    async close() {
      clearInterval(timer);
      await looking?.catch(() => {});
    },
  };
};
