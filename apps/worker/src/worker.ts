import { toCause, toExitCode } from '@berth/domain';
import { type Consumer, type Delivery, openConsumer } from '@berth/queue';
import type { Claim, Claimant } from '@berth/store';
import type { WorkerContext } from './context.js';
import { startHeartbeat } from './heartbeat.js';
import { startHousekeeping } from './housekeeping.js';
import { runAttempt } from './run-attempt.js';
import { takeJobs } from './take-jobs.js';
import { VERSION } from './version.js';
import { within } from './waiting.js';

export interface RunningWorker {
  /** Runs a job that this worker has claimed, with or without a message for it. Settles at the job's end; never rejects. */
  run(claim: Claim, delivery?: Delivery): Promise<void>;
  readonly claimant: Claimant;
  /** Takes no more jobs, stops its containers and gives their jobs back to the queue. */
  stop(): Promise<void>;
}

/** Containers that do not die within this time are left to the next worker of the machine. */
const STOP_LIMIT_MS = 12_000;
/** How long a stopping worker waits for the broker, which may be away: for a take to hand its message back, and to say goodbye. */
const BROKER_LIMIT_MS = 1_000;

export const startWorker = async (context: WorkerContext): Promise<RunningWorker> => {
  const { config, store, leases, room, log, node, engine, capacity, served } = context;
  const claimant: Claimant = { worker: config.worker, engine: engine.id, node, capacity };
  const running = new Set<Promise<void>>();
  const startedAt = Date.now();

  const run = (claim: Claim, delivery?: Delivery): Promise<void> => {
    const whole = runToEnd(context, claim, delivery)
      .catch((err) => log.error({ err, job_id: claim.job_id, epoch: claim.epoch }, 'an attempt broke'))
      .finally(() => running.delete(whole));
    running.add(whole);
    return whole;
  };
  const unsubscribe = await context.channels.subscribe(store.keys.engineChannel(engine.id), (message) => {
    const [word, job_id = ''] = message.split(' ');
    if (word === 'room') room.signal();
    if (word === 'cancel') leases.cancel(job_id);
  });
  const housekeeping = await startHousekeeping(context);
  const consumers = served.map((c) => openClassConsumer(context, c.name));
  const loops = served.map((c, i) => {
    const consumer = consumers[i] as Consumer;
    const options = { className: c.name, consumer, claims: store.claims, claimant, room, run, log };
    return takeJobs(options).catch((err) => log.fatal({ err, class: c.name }, 'takes no more jobs of this class'));
  });
  const untilIdle = async (): Promise<void> => {
    while (running.size > 0) await Promise.all(running);
  };
  const heartbeat = startHeartbeat(store.workers, () => toHeartbeat(context, startedAt), log);
  if (served.length === 0) log.warn({ capacity }, 'this machine is too small for every class and will take no jobs');
  log.info({ node, capacity, classes: served.map((c) => c.name), oci_runtime: engine.oci_runtime }, 'worker ready');

  return {
    run,
    claimant,
    async stop() {
      log.info({ running: leases.size }, 'worker stopping');
      for (const consumer of consumers) consumer.stopTaking();
      room.close();
      leases.releaseAll();
      await within(STOP_LIMIT_MS, untilIdle());
      await within(BROKER_LIMIT_MS, Promise.all(consumers.map((consumer) => consumer.close())));
      await within(BROKER_LIMIT_MS, Promise.all(loops).then(untilIdle));
      housekeeping.close();
      unsubscribe();
      await within(BROKER_LIMIT_MS, heartbeat.close());
    },
  };
};

const toHeartbeat = ({ config, node, engine, capacity, served, leases }: WorkerContext, started_at: number) => ({
  worker: config.worker,
  node,
  engine: engine.id,
  version: VERSION,
  engine_version: engine.version,
  oci_runtime: engine.oci_runtime,
  capacity,
  classes: served.map((c) => c.name),
  running: leases.size,
  started_at,
});

const openClassConsumer = ({ config, store, redis, log }: WorkerContext, className: string): Consumer =>
  openConsumer({
    className,
    redis,
    prefix: store.keys.bull,
    worker: config.worker,
    onError: (err) => log.warn({ err: { message: err.message }, class: className }, 'trouble with the queue'),
  });

/** One attempt, from the claim to the message's end and the container's removal. */
const runToEnd = async (context: WorkerContext, claim: Claim, delivery?: Delivery): Promise<void> => {
  const { attempts, metrics, node } = context;
  const { job_id, attempt, epoch } = claim;
  const log = attempts.log.child({ job_id, attempt, epoch });
  metrics.attemptStarted();
  log.info({ class: claim.class }, 'attempt started');
  const end = await runAttempt(claim, { ...attempts, log }).catch(async (error) => {
    metrics.attemptEnded(false);
    await delivery?.handBack();
    throw error;
  });
  const { outcome, reply, removed } = end;
  metrics.attemptEnded(outcome.kind === 'exited' && outcome.exit_code === 0);
  log.info({ outcome, reply }, 'attempt ended');
  const note = { state: reply?.state ?? 'lost', node, exit_code: toExitCode(outcome), cause: toCause(outcome) };
  await (note.state === 'completed' ? delivery?.complete(note) : delivery?.fail(note));
  await removed;
};
