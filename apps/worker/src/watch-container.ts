import type { ExitReport, JobSpec } from '@berth/domain';
import { type Claims, isUnavailable } from '@berth/store';
import type { Logger } from 'pino';
import type { Ask, Hold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';
import { pause, within } from './waiting.js';

/** A worker that was told to kill gives its containers so long after TERM; the job is started again elsewhere anyway. */
const RELEASE_GRACE_SECONDS = 2;
/** An engine that could not stop a container is asked again after so long. */
const STOP_AGAIN_MS = 1_000;
/** A broker that refuses for now is asked again after so long. */
const NOTE_AGAIN_MS = 250;
/** How long a broker that is away may hold up a timeout: less than the deadline leaves beyond it. */
const INTEND_LIMIT_MS = 8_000;

/** `left`: the container goes on, in other hands. */
export type Ended = ExitReport | 'left';

export interface WatchOptions {
  /** For how long it has run already. */
  ran_ms: number;
  claims: Pick<Claims, 'intend'>;
  log: Logger;
}

/**
 * From the start to the end: whoever asks first for an earlier end decides what the end is called. Why we end it is in the record before
 * the first signal is sent, so that a worker that finds it dead, because this one died too, knows. A cancel is there already.
 */
export const watch = async (
  hold: Hold,
  container: Container,
  { ran_ms, claims, log }: WatchOptions,
): Promise<Ended> => {
  const { spec } = hold.claim;
  const timer = setTimeout(() => hold.ask('timeout'), Math.max(0, spec.timeout_seconds * 1000 - ran_ms));
  const ended = container.ended();
  ended.catch(() => {});
  const left = hold.left.then(() => 'left' as const);
  const stop = (why: Ask) => {
    hold.stopped_at_ms ??= Date.now();
    return stopUntilEnded(container, { grace_seconds: toGraceSeconds(why, spec), ended, log });
  };
  try {
    const first = await Promise.race([ended, left, hold.requested]);
    if (typeof first !== 'string' || first === 'left') return first;
    if (await mayStop(first, { hold, container, ended, claims })) void stop(first);
    void hold.urgent.then((why) => (why === first ? undefined : stop(why)));
    return await Promise.race([ended, left]);
  } finally {
    clearTimeout(timer);
  }
};

interface Stop {
  hold: Hold;
  container: Container;
  ended: Promise<ExitReport>;
  claims: Pick<Claims, 'intend'>;
}

/**
 * Records why we are about to stop it. False where it is not ours to stop: the record says that the epoch is not, which leaves what becomes of
 * it to the next renewal, or it was left meanwhile. A timeout counts only for what still runs: a container that died with its engine,
 * which cannot say so yet, did not run too long.
 */
const mayStop = async (why: Ask, { hold, container, ended, claims }: Stop): Promise<boolean> => {
  if (why === 'cancel' || why === 'over') return true;
  if (why === 'timeout') {
    if (hold.timed_out) return true;
    if (!(await isSeenRunning(container, Promise.race([ended, hold.left])))) return false;
    hold.timed_out = true;
  }
  let refused = false;
  let late = false;
  const note = async (): Promise<void> => {
    refused = (await claims.intend(hold.claim, why)) === 'stale';
  };
  const noteUntilTaken = async (): Promise<void> => {
    while (!late) {
      try {
        return await note();
      } catch (err) {
        if (!isUnavailable(err)) return;
        await pause(NOTE_AGAIN_MS);
      }
    }
  };
  await within(INTEND_LIMIT_MS, Promise.race([noteUntilTaken(), hold.left]));
  late = true;
  return !refused && hold.leave === undefined;
};

/** Asks an engine that is away again and again; false once `over` settles. */
const isSeenRunning = async (container: Container, over: Promise<unknown>): Promise<boolean> => {
  const until = over.then(
    () => true,
    () => true,
  );
  for (;;) {
    const running = await container.isRunning().catch(() => undefined);
    if (running !== undefined) return running;
    if (await Promise.race([until, pause(STOP_AGAIN_MS).then(() => false)])) return false;
  }
};

const toGraceSeconds = (request: Ask, spec: JobSpec): number => {
  if (request === 'over') return 0;
  return request === 'release' ? Math.min(RELEASE_GRACE_SECONDS, spec.stop_grace_seconds) : spec.stop_grace_seconds;
};

interface Stopping {
  grace_seconds: number;
  ended: Promise<ExitReport>;
  log: Logger;
}

/** Never rejects: an engine that fails to stop a container is asked again for as long as it has not ended. */
const stopUntilEnded = async (container: Container, { grace_seconds, ended, log }: Stopping): Promise<void> => {
  const over = ended.then(
    () => true,
    () => true,
  );
  do {
    try {
      return await container.stop(grace_seconds);
    } catch (err) {
      log.warn({ err, container: container.id }, 'could not stop a container; trying again');
    }
  } while (!(await Promise.race([over, pause(STOP_AGAIN_MS).then(() => false)])));
};
