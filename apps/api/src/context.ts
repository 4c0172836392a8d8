import { setMaxListeners } from 'node:events';
import { type ApiMetrics, createApiMetrics } from '@berth/metrics';
import type { Producer } from '@berth/queue';
import { type Store, toWentBackProblem } from '@berth/store';
import type { Logger } from 'pino';
import { type Admission, startAdmission } from './admission.js';
import type { AppParts } from './app.js';
import { createArrays } from './arrays.js';
import { type Broker, openBroker } from './broker.js';
import type { ApiConfig } from './config.js';
import { createJobActions } from './job-control.js';
import { createJobs, type Jobs } from './jobs.js';
import { createLogReader } from './log-reader.js';
import { startQueueTimeouts } from './queue-timeouts.js';
import { readDisk } from './refusals.js';
import { type Relay, startRelay, WINDOW } from './relay.js';
import { createSchedules } from './schedules.js';
import { startUpkeep } from './upkeep.js';
import { createWaiters } from './waiters.js';

/** Everything that an API process holds, for the app and for whoever ends it. */
export interface ApiContext extends AppParts {
  /** For the board. */
  producer: Producer;
  /** Ends every wait and stream in good order; new ones end at once. */
  stop(): void;
  /** In reverse order of opening; what a broken broker holds up is left behind. */
  close(): Promise<void>;
}

export interface ContextOverrides {
  now?: () => number;
  /** For tests that look at the backlog themselves. */
  relay?: Relay;
}

const CLOSE_MS = 1_000;

/** Builds everything in order. */
export const openContext = async (
  config: ApiConfig,
  log: Logger,
  overrides: ContextOverrides = {},
): Promise<ApiContext> => {
  const { now = Date.now } = overrides;
  const { classes, loopbackOnly, openWithoutKeys, retentionSeconds } = config;
  const broker = await openBroker(config, log);
  const { store, steadyStore, feed, channels, producer } = broker;
  const classNames = classes.map(({ name }) => name);
  const relay = overrides.relay ?? startRelay({ store: steadyStore, producer, feed, classes: classNames, log });
  const upkeep = startUpkeep({ store: steadyStore, feed, classes: classNames, retentionSeconds, now, log });
  const readJob = store.jobs.read;
  const waiters = createWaiters({ feed, readJob });
  const dropMessage = (className: string, ticket: string): void => {
    producer.remove(className, ticket).catch((err) => log.debug({ err, ticket }, 'left a message behind'));
  };
  const timeouts = startQueueTimeouts({ backlog: store.backlog, onFailed: dropMessage, log });
  const metrics = createApiMetrics();
  const admission = openAdmission(config, store, metrics, log);
  const jobs = openJobs(config, { store, admission, onAccepted: relay.kick, onCancelled: dropMessage });
  const arrays = createArrays({ store: store.arrays, jobs, onReady: upkeep.onArrayReady, onCancelled: dropMessage });
  const schedules = openSchedules(broker, jobs, log);
  const actions = createJobActions({ control: store.control, jobs, onReleased: relay.kick, onHeld: dropMessage });
  const reader = createLogReader({ logs: store.logs, channels, toChannel: store.keys.logChannel, waiters, readJob });
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const stop = () => stopping.abort();
  const close = async (): Promise<void> => {
    stop();
    waiters.close();
    await inTime(admission.close());
    await inTime(timeouts.close());
    await inTime(upkeep.close());
    await inTime(relay.close());
    await inTime(broker.close());
  };
  const shutdown = stopping.signal;
  const kick = () => classNames.forEach(relay.kick);
  const parts = {
    store,
    jobs,
    arrays,
    actions,
    admission,
    waiters,
    reader,
    feed,
    schedules,
    kick,
    failOverdue: timeouts.pass,
    producer,
    metrics,
    classes,
  };
  return { ...parts, loopbackOnly, openWithoutKeys, shutdown, now, log, stop, close };
};

interface JobsParts {
  store: Store;
  admission: Admission;
  onAccepted: (className: string) => void;
  onCancelled: (className: string, ticket: string) => void;
}

const openJobs = ({ classes, defaultImage, allowedRegistries }: ApiConfig, { store, admission, ...on }: JobsParts) =>
  createJobs({ store: store.jobs, admit: admission.admit, classes, defaultImage, allowedRegistries, ...on });

const openSchedules = (
  { steadyStore: { schedules: store, jobs: records }, scheduler }: Broker,
  jobs: Jobs,
  log: Logger,
) => {
  const readState = async (job_id: string) => (await records.read(job_id))?.state;
  const schedules = createSchedules({ store, jobs, readState, scheduler, log });
  schedules.start();
  return schedules;
};

const openAdmission = ({ classes, dataDir }: ApiConfig, store: Store, metrics: ApiMetrics, log: Logger): Admission =>
  startAdmission({
    readBrokerState: store.readBrokerState,
    findWentBack: async () => {
      const at = await store.readWentBack();
      return at === null ? null : toWentBackProblem(store.keys.wentBack, at);
    },
    findStuck: store.backlog.findStuck,
    readDisk: () => readDisk(dataDir),
    classes: classes.map(({ name }) => name),
    window: WINDOW,
    onLook: (refusals) => metrics.admissionSeen(refusals.map(({ reason }) => reason)),
    log,
  });

/** Waits, but not for ever. */
const inTime = async (closing: Promise<void>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS);
  });
  await Promise.race([closing, limit]);
  clearTimeout(timer);
};
