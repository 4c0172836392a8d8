import type { JobSpec } from '@berth/domain';
import { type Job, type JobJson, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { type Message, messageSchema, toMessage } from './message.js';

/** What the board shows of a job that has ended. */
export interface BoardNote {
  state: string;
  node: string;
  exit_code: number | null;
  cause: string | null;
}

/** A message in a worker's hands. Exactly one of `handBack`, `complete` and `fail` ends it; a repeat or a lost lock is harmless and ignored. */
export interface Delivery {
  /** The message's id: a ticket for a job of the class. */
  ticket: string;
  message: Message;
  /** Makes the message show the job that was drawn with it. */
  relabel(job_id: string, spec: JobSpec): Promise<void>;
  /** Back to the front of its priority, at once: another worker may have room. */
  handBack(): Promise<void>;
  complete(note: BoardNote): Promise<void>;
  fail(note: BoardNote): Promise<void>;
}

export interface Consumer {
  /** Waits for the next message of the class; undefined once stopped. Call it again only after it has returned. */
  take(): Promise<Delivery | undefined>;
  /** From now on a message that `take` gets goes back, and it gives undefined. Messages already taken can still be ended. */
  stopTaking(): void;
  /** Ends a waiting `take`. */
  close(): Promise<void>;
}

export interface ConsumerOptions {
  className: string;
  /** Shared with the other consumers; each opens a blocking connection of its own beside it. */
  redis: Redis;
  prefix: string;
  worker: string;
  onError: (error: Error) => void;
  /** How long BullMQ's lock on a message lasts without a renewal. */
  lock_ms?: number;
}

/**
 * BullMQ's lock only says that a message is in somebody's hands. The right to run a job is the record's lease, so a stalled
 * message may be delivered twice without harm: the second claim finds the job taken.
 */
const LOCK_MS = 60_000;
const NEVER = 1_000_000;
/** How long a wait for the next message lasts before it is looked for again, in seconds. */
const WAIT_SECONDS = 5;
const RETRY_MS = 500;
const BOARD_METRIC_MINUTES = 24 * 60;

/** What is no JSON is given as a message that says nothing: BullMQ throws, and then it would come back for ever. */
class LenientWorker extends Worker {
  protected override createJob(found: JobJson, id: string): Job {
    try {
      return super.createJob(found, id);
    } catch {
      return super.createJob({ ...found, data: '{}' }, id);
    }
  }
}

export const openConsumer = (options: ConsumerOptions): Consumer => {
  const { className, redis, prefix, worker: name, onError, lock_ms = LOCK_MS } = options;
  const worker = new LenientWorker(className, null, {
    connection: redis,
    prefix,
    name,
    autorun: false,
    lockDuration: lock_ms,
    stalledInterval: lock_ms / 2,
    maxStalledCount: NEVER,
    drainDelay: WAIT_SECONDS,
    metrics: { maxDataPoints: BOARD_METRIC_MINUTES },
  });
  worker.on('error', onError);
  worker.startStalledCheckTimer().catch(onError);
  const held = new Map<string, string>();
  const renewing = setInterval(() => renewLocks(worker, held, lock_ms).catch(onError), lock_ms / 3);
  let taken = 0;
  let closed = false;

  const takeOnce = async (): Promise<Delivery | undefined> => {
    const token = `${worker.id}:${taken++}`;
    const job = await worker.getNextJob(token, { block: true });
    if (!job?.id) return undefined;
    held.set(job.id, token);
    return toDelivery(job, token, {
      redis,
      wakeKey: wakeKey(prefix, className),
      release: (id) => held.delete(id),
      onError,
    });
  };

  return {
    async take() {
      while (!closed) {
        try {
          const delivery = await takeOnce();
          if (delivery && !closed) return delivery;
          await delivery?.handBack();
        } catch (error) {
          if (closed) return undefined;
          onError(error as Error);
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
      return undefined;
    },
    stopTaking() {
      closed = true;
    },
    async close() {
      closed = true;
      clearInterval(renewing);
      await worker.close(true);
    },
  };
};

const renewLocks = async (worker: Worker, held: Map<string, string>, lock_ms: number): Promise<void> => {
  if (held.size > 0) await worker.extendJobLocks([...held.keys()], [...held.values()], lock_ms);
};

/** BullMQ does not wake idle workers for a prioritized message that was handed back; this is the key that does. */
const wakeKey = (prefix: string, className: string): string => `${prefix}:${className}:marker`;

interface DeliveryContext {
  redis: Redis;
  wakeKey: string;
  release: (id: string) => void;
  onError: (error: Error) => void;
}

/** Undefined for a message that nobody can read: it is failed, so that it stands on the board, and the next one is taken. */
const toDelivery = async (job: Job, token: string, context: DeliveryContext): Promise<Delivery | undefined> => {
  const parsed = messageSchema.safeParse(job.data);
  const end = async (step: () => Promise<unknown>): Promise<void> => {
    context.release(job.id ?? '');
    await step().catch(context.onError);
  };
  const fail = (reason: string) => end(() => job.moveToFailed(toFailure(reason), token, false));
  if (!parsed.success) {
    await fail('not a message of Berth: it has no job_id');
    return undefined;
  }
  return {
    ticket: job.id ?? '',
    message: parsed.data,
    relabel: async (job_id, spec) => {
      await job.updateData(toMessage(job_id, spec)).catch(context.onError);
    },
    handBack: () =>
      end(async () => {
        await job.moveToWait(token);
        await context.redis.zadd(context.wakeKey, 0, '0');
      }),
    complete: (note) => end(() => job.moveToCompleted(note, token, false)),
    fail: (note) =>
      end(async () => {
        await job.updateProgress({ ...note });
        await job.moveToFailed(toFailure(toReason(note)), token, false);
      }),
  };
};

/** Without a stack: where our own code stood says nothing about the job. */
const toFailure = (reason: string): UnrecoverableError => Object.assign(new UnrecoverableError(reason), { stack: '' });

const toReason = ({ state, cause, exit_code, node }: BoardNote): string => {
  const why = cause === null || cause === 'exit_code' ? [] : [cause];
  const code = exit_code === null ? [] : [`exit code ${exit_code}`];
  return `${state}: ${[...why, ...code, `on ${node}`].join(', ')}`;
};
