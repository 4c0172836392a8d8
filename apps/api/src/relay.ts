import type { Producer } from '@berth/queue';
import type { Dispatch, EventFeed, FeedEvent, Store } from '@berth/store';
import type { Logger } from 'pino';

/**
 * Moves jobs from the store's backlog into BullMQ and keeps a window of them there: enough that workers never wait for a message, and
 * few enough that a million pending jobs cost neither the board nor the broker's memory.
 *
 * Every API replica runs one. They share the work through the store: a script takes each job out of the backlog once. If a
 * replica dies between taking a job and adding its message, the job stands as dispatched with no message; the sweep finds
 * it and puts it back. A message too many does no harm, because the claim is a compare-and-set.
 */
export interface Relay {
  /** Says that a class's backlog has grown or its window has room. Returns at once; many calls become one pass. */
  kick(className: string): void;
  close(): Promise<void>;
}

/** Messages a class in BullMQ at a time: some minutes of work for hundreds of machines. */
export const WINDOW = 512;
const BATCH = 100;
const SWEEP_MS = 1_000;
/** A message that nobody has taken for so long is looked at. */
const OVERDUE_MS = 5_000;
const LOOKED_AT = 50;

interface RelayOptions {
  store: Store;
  producer: Producer;
  feed: EventFeed;
  classes: string[];
  log: Logger;
}

const makesRoom = (event: FeedEvent): boolean => event.type === 'claimed' || event.state === 'pending';

export const startRelay = ({ store, producer, feed, classes, log }: RelayOptions): Relay => {
  const wanted = new Set<string>();
  let closed = false;
  let passing: Promise<void> | undefined;

  /** What the queue refuses goes back at once: then it counts as waiting, and admission sees it. */
  const addOrPutBack = async (className: string, jobs: Dispatch[]): Promise<void> => {
    try {
      await producer.add(className, jobs);
    } catch (err) {
      await Promise.all(jobs.map(({ job_id }) => store.backlog.redispatch(job_id, className)));
      throw err;
    }
  };
  const moveClass = async (className: string): Promise<void> => {
    for (;;) {
      const jobs = await store.backlog.dispatch(className, WINDOW, BATCH);
      if (jobs.length > 0) await addOrPutBack(className, jobs);
      if (jobs.length < BATCH) return;
    }
  };
  const pass = async (): Promise<void> => {
    while (wanted.size > 0 && !closed) {
      const [className] = wanted;
      if (className === undefined) return;
      wanted.delete(className);
      await moveClass(className).catch((err) => log.warn({ err, class: className }, 'could not move the backlog'));
    }
    // In one step with the last look at `wanted`: a kick that comes right after it begins a pass of its own.
    passing = undefined;
  };
  const kick = (className: string): void => {
    wanted.add(className);
    passing ??= pass();
  };

  const sweepClass = async (className: string): Promise<void> => {
    for (const { job_id, ticket } of await store.backlog.overdue(className, OVERDUE_MS, LOOKED_AT)) {
      if (!(await producer.isLive(className, ticket))) await store.backlog.redispatch(job_id, className, ticket);
    }
  };
  const sweep = async (): Promise<void> => {
    await store.backlog.releaseDue();
    await Promise.all(classes.map(sweepClass));
    for (const className of classes) kick(className);
  };

  const unsubscribe = feed.subscribe((event) => {
    if (event !== 'resynced' && makesRoom(event)) kick(event.class);
  });
  const sweeping = setInterval(() => sweep().catch((err) => log.warn({ err }, 'the sweep failed')), SWEEP_MS);
  for (const className of classes) kick(className);

  return {
    kick,
    async close() {
      closed = true;
      clearInterval(sweeping);
      unsubscribe();
      await passing;
    },
  };
};
