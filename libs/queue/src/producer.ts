import type { JobSpec } from '@berth/domain';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { toBullPriority, toMessage, toMessageId } from './message.js';
import { openQueue } from './queues.js';

/** A job to put into its class's queue. */
export interface Outgoing {
  job_id: string;
  dispatch: number;
  priority: number;
  spec: JobSpec;
}

export interface Producer {
  /** Puts messages in. A repeat of a dispatch that is still known changes nothing. */
  add(className: string, jobs: Outgoing[]): Promise<void>;
  /** Whether the message of a dispatch is still on its way: waiting, or with a worker. */
  isLive(className: string, job_id: string, dispatch: number): Promise<boolean>;
  /** Takes a waiting message out. A message with a worker stays: the worker finds out from the record. */
  remove(className: string, job_id: string, dispatch: number): Promise<void>;
  /** For the board. */
  readonly queues: Queue[];
  close(): Promise<void>;
}

const toBullJob = ({ job_id, dispatch, priority, spec }: Outgoing) => {
  const message = toMessage(job_id, spec);
  return {
    name: spec.name ?? message.command.slice(0, 60),
    data: message,
    opts: { jobId: toMessageId(job_id, dispatch), priority: toBullPriority(priority) },
  };
};

export interface ProducerOptions {
  redis: Redis;
  prefix: string;
  classes: string[];
  onError: (error: Error) => void;
}

export const openProducer = ({ redis, prefix, classes, onError }: ProducerOptions): Producer => {
  const queues = new Map(classes.map((name) => [name, openQueue(name, redis, prefix)]));
  for (const queue of queues.values()) queue.on('error', onError);
  const find = (className: string): Queue => {
    const queue = queues.get(className);
    if (!queue) throw new Error(`there is no queue for the class ${className}`);
    return queue;
  };
  return {
    queues: [...queues.values()],
    async add(className, jobs) {
      const [first, ...more] = jobs.map(toBullJob);
      if (first && more.length === 0) await find(className).add(first.name, first.data, first.opts);
      else if (first) await find(className).addBulk([first, ...more]);
    },
    async isLive(className, job_id, dispatch) {
      const job = await find(className).getJob(toMessageId(job_id, dispatch));
      return job !== undefined && job.finishedOn === undefined;
    },
    async remove(className, job_id, dispatch) {
      await find(className).remove(toMessageId(job_id, dispatch));
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
};
