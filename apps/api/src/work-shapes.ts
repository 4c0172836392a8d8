import { type EventFeed, isUnavailable, type Store } from '@berth/store';
import type { Logger } from 'pino';

const SWEEP_MS = 1_000;

interface WorkShapesOptions {
  store: Pick<Store, 'arrays' | 'backlog'>;
  feed: EventFeed;
  log: Logger;
}

/**
 * Makes jobs of arrays as their windows get room, and goes on with what one script has left of a large piece of work: the dependants of
 * what has ended, and the jobs of a cancelled array. Every API replica runs one; the scripts give each piece to one of them.
 */
export interface WorkShapes {
  /** Says that an array may have room. Returns at once; many calls become one pass. */
  kick(): void;
  close(): Promise<void>;
}

export const startWorkShapes = ({ store: { arrays, backlog }, feed, log }: WorkShapesOptions): WorkShapes => {
  let closed = false;
  let wanted = false;
  let passing: Promise<void> | undefined;

  /** Some of each in turn, so that a large array does not keep a small one waiting. */
  const expandAll = async (): Promise<void> => {
    let ready = await arrays.findReady();
    while (ready.length > 0 && !closed) {
      const steps = [];
      for (const array_id of ready) steps.push({ array_id, ...(await arrays.expand(array_id)) });
      ready = steps.filter(({ more }) => more).map(({ array_id }) => array_id);
    }
  };
  const pass = async (): Promise<void> => {
    while (wanted && !closed) {
      wanted = false;
      await expandAll().catch((err) => isUnavailable(err) || log.warn({ err }, 'could not make jobs of an array'));
    }
    passing = undefined;
  };
  const kick = (): void => {
    wanted = true;
    passing ??= pass();
  };

  const finishCancel = async (array_id: string): Promise<void> => {
    for (let left = 1; left > 0 && !closed; ) {
      const reply = await arrays.cancel(array_id, 'go on');
      left = reply.kind === 'cancelled' ? reply.left : 0;
    }
  };
  const sweep = async (): Promise<void> => {
    while (!closed && (await backlog.judgeDependants()) > 0);
    for (const array_id of await arrays.findCancelling()) await finishCancel(array_id);
    kick();
  };

  let sweeping: Promise<void> | undefined;
  const timer = setInterval(() => {
    sweeping ??= sweep()
      .catch((err) => void (isUnavailable(err) || log.warn({ err }, 'the sweep of arrays and dependants failed')))
      .finally(() => {
        sweeping = undefined;
      });
  }, SWEEP_MS);
  const unsubscribe = feed.subscribe((event) => {
    if (event !== 'resynced' && event.array_id !== undefined && event.state !== 'pending') kick();
  });
  kick();

  return {
    kick,
    async close() {
      closed = true;
      clearInterval(timer);
      unsubscribe();
      await Promise.all([passing, sweeping]);
    },
  };
};
