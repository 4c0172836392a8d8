import { type Consumer, openConsumer } from '@berth/queue';
import type { Claimant } from '@berth/store';
import type { WorkerContext } from './context.js';
import type { RunningAttempts } from './running-attempts.js';
import { takeJobs } from './take-jobs.js';

export interface ClassLoops {
  /** From now on no message is taken; those that were can still be ended. */
  stopTaking(): void;
  /** Ends waiting takes; settles once the broker has been told. */
  close(): Promise<void>;
  /** Settles when no loop takes or claims any more. */
  readonly over: Promise<unknown>;
}

/** One consumer and one loop for each class that this machine serves. */
export const startClassLoops = (
  context: WorkerContext,
  claimant: Claimant,
  attempts: Pick<RunningAttempts, 'run'>,
): ClassLoops => {
  const { store, room, log, served, pastGate } = context;
  const gate = { passed: () => Promise.all([context.gate.passed(), pastGate.passed()]).then(() => undefined) };
  const consumers = served.map((c) => openClassConsumer(context, c.name));
  const loops = served.map((c, i) => {
    const consumer = consumers[i] as Consumer;
    const options = {
      ...{ className: c.name, consumer, claims: store.claims, claimant, room, gate },
      ...{ onWentBack: pastGate.heard, run: attempts.run, log },
    };
    return takeJobs(options).catch((err) => log.fatal({ err, class: c.name }, 'takes no more jobs of this class'));
  });
  return {
    stopTaking() {
      for (const consumer of consumers) consumer.stopTaking();
    },
    async close() {
      await Promise.all(consumers.map((consumer) => consumer.close()));
    },
    over: Promise.all(loops),
  };
};

const openClassConsumer = ({ config, store, redis, log }: WorkerContext, className: string): Consumer =>
  openConsumer({
    className,
    redis,
    prefix: store.keys.bull,
    worker: config.worker,
    onError: (err) => log.warn({ err: { message: err.message }, class: className }, 'trouble with the queue'),
  });
