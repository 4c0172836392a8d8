import type { JobSpec } from '@berth/domain';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { toBullPriority, toMessage } from './message.js';
import { openQueue } from './queues.js';

/** A job to put into its class's queue. */
export interface Outgoing {
  job_id: string;
  /** The message's id. */
  ticket: string;
  priority: number;
  spec: JobSpec;
}

export interface Producer {
  /** Puts messages in. A repeat of a ticket that is still known changes nothing. */
  add(className: string, jobs: Outgoing[]): Promise<void>;
  /** Whether a ticket is still on its way: waiting, or with a worker. */
  isLive(className: string, ticket: string): Promise<boolean>;
  /** Takes a waiting message out. A message with a worker stays: the worker finds out from the record. */
  remove(className: string, ticket: string): Promise<void>;
  /** For the board. */
  readonly queues: Queue[];
  close(): Promise<void>;
}

const toBullJob = ({ job_id, ticket, priority, spec }: Outgoing) => {
  const message = toMessage(job_id, spec);
  return {
    name: spec.name ?? message.command.slice(0, 60),
    data: message,
    opts: { jobId: ticket, priority: toBullPriority(priority) },
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
    async isLive(className, ticket) {
      const job = await find(className).getJob(ticket);
      return job !== undefined && job.finishedOn === undefined;
    },
    async remove(className, ticket) {
      await find(className).remove(ticket);
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
};
