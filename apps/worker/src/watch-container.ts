import type { ExitReport, JobSpec } from '@berth/domain';
import type { Claims } from '@berth/store';
import type { Logger } from 'pino';
import type { Ask, Hold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';
import { pause, within } from './waiting.js';

/** A worker that was told to kill gives its containers so long after TERM; the job is started again elsewhere anyway. */
const RELEASE_GRACE_SECONDS = 2;
/** An engine that could not stop a container is asked again after so long. */
const STOP_AGAIN_MS = 1_000;
/** How long a broker that is away may hold up a timeout: the deadline holds without it. */
const INTEND_LIMIT_MS = 2_000;

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
  const stop = (why: Ask) => stopUntilEnded(container, { grace_seconds: toGraceSeconds(why, spec), ended, log });
  try {
    const first = await Promise.race([ended, left, hold.requested]);
    if (typeof first !== 'string' || first === 'left') return first;
    if (first !== 'timeout' || (await noteTimeout(hold, claims))) void stop(first);
    void hold.urgent.then((why) => (why === first ? undefined : stop(why)));
    return await Promise.race([ended, left]);
  } finally {
    clearTimeout(timer);
  }
};

/**
 * Whether the container is still ours to stop: not where the record says that the epoch is not, which leaves what becomes of it to the
 * next renewal, and not where it was left meanwhile.
 */
const noteTimeout = async (hold: Hold, claims: Pick<Claims, 'intend'>): Promise<boolean> => {
  let refused = false;
  const noted = claims.intend(hold.claim, 'timeout').then((intent) => {
    refused = intent === 'stale';
  });
  await within(INTEND_LIMIT_MS, Promise.race([noted, hold.left]));
  return !refused && hold.leave === undefined;
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
