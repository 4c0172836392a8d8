import { setMaxListeners } from 'node:events';
import { type ApiMetrics, createApiMetrics } from '@berth/metrics';
import type { Producer } from '@berth/queue';
import { openFiles, type Store, toWentBackProblem } from '@berth/store';
import type { Logger } from 'pino';
import { type Admission, startAdmission } from './admission.js';
import type { AppParts } from './app.js';
import { createArrays } from './arrays.js';
import { type Broker, openBroker } from './broker.js';
import type { ApiConfig } from './config.js';
import { openFinishedJobs } from './finished-jobs.js';
import { createJobActions } from './job-control.js';
import { createJobs, type Jobs } from './jobs.js';
import { createLogReader } from './log-reader.js';
import type { Planner } from './planner.js';
import { startQueueTimeouts } from './queue-timeouts.js';
import { readDisk } from './refusals.js';
import { type Relay, startRelay, WINDOW } from './relay.js';
import { createInstallationMark } from './retention/installation-mark.js';
import { createSweep } from './retention/sweep.js';
import { createSchedules } from './schedules.js';
import { startServiceCleaning } from './service-cleaning.js';
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
  /** For tests in which no machine is to be kept free by itself. */
  planner?: Pick<Planner, 'close'>;
  stalledFollowerMs?: number;
}

const CLOSE_MS = 1_000;

const refuseSecret = async (): Promise<never> => {
  throw new Error('An API keeps its files itself.');
};

/** What the rest stands on: files, the broker and, where there is one, the history. Closed in reverse. */
const openGround = async (config: ApiConfig, log: Logger) => {
  const files = await openFiles(config.filesPlace, refuseSecret);
  const broker = await openBroker(config, files, log).catch(async (error) => {
    await files.close();
    throw error;
  });
  const finished = await openFinishedJobs(config, broker, log);
  const close = async (): Promise<void> => {
    await inTime(finished.close());
    await inTime(broker.close());
    await inTime(files.close());
  };
  return { files, broker, finished, close };
};

type Ground = Awaited<ReturnType<typeof openGround>>;

interface Surroundings {
  config: ApiConfig;
  now: () => number;
  log: Logger;
}

/** What goes on by itself, over a connection that waits for a broker that is away. */
const startOwnWork = (
  ground: Ground,
  { config, now, log }: Surroundings,
  given: Pick<ContextOverrides, 'relay' | 'planner'>,
) => {
  const { files, broker, finished } = ground;
  const { steadyStore: store, feed, producer } = broker;
  const { store: readStore, history } = finished;
  const { retentionSeconds } = config;
  const classes = config.classes.map(({ name }) => name);
  const relay = given.relay ?? startRelay({ store, producer, feed, classes, log });
  const sweepWith = (over: Store) => createSweep({ store: over, files, history, retentionSeconds, now, log });
  const upkeep = startUpkeep({
    ...{ store, feed, classes, config, history, sweep: sweepWith(store), now, log },
    planner: given.planner,
  });
  const { numbers, jobs } = readStore;
  const mark = createInstallationMark({ store: readStore, files, history });
  const cleaning = startServiceCleaning({ numbers, readJob: jobs.read, files, mark, ...config, now, log });
  const dropMessage = (className: string, ticket: string): void => {
    producer.remove(className, ticket).catch((err) => log.debug({ err, ticket }, 'left a message behind'));
  };
  const timeouts = startQueueTimeouts({ backlog: readStore.backlog, onFailed: dropMessage, log });
  return {
    relay,
    kick: () => classes.forEach(relay.kick),
    onArrayReady: upkeep.onArrayReady,
    dropMessage,
    failOverdue: timeouts.pass,
    /** For who asks for a pass, and does not want to wait for a broker that is away. */
    sweep: sweepWith(readStore),
    async close(): Promise<void> {
      await inTime(timeouts.close());
      await inTime(upkeep.close());
      await inTime(cleaning.close());
      await inTime(relay.close());
    },
  };
};

/** Builds everything in order. */
export const openContext = async (
  config: ApiConfig,
  log: Logger,
  overrides: ContextOverrides = {},
): Promise<ApiContext> => {
  const { now = Date.now } = overrides;
  const ground = await openGround(config, log);
  const { files, broker, finished } = ground;
  const { store, readUsageReport } = finished;
  const { feed, channels, producer } = broker;
  const work = startOwnWork(ground, { config, now, log }, overrides);
  const { relay, dropMessage, kick, failOverdue, sweep } = work;
  const readJob = store.jobs.read;
  const waiters = createWaiters({ feed, readJob });
  const metrics = createApiMetrics();
  const admission = openAdmission(config, store, metrics, log);
  const jobs = openJobs(config, { store, admission, onAccepted: relay.kick, onCancelled: dropMessage });
  const arrays = createArrays({ store, jobs, onReady: work.onArrayReady, onCancelled: dropMessage });
  const schedules = openSchedules(broker, jobs, log);
  const actions = createJobActions({ control: store.control, jobs, onReleased: relay.kick, onHeld: dropMessage });
  const followed = { logs: store.logs, channels, toChannel: store.keys.logChannel, waiters, readJob };
  const reader = createLogReader(followed, overrides.stalledFollowerMs);
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const stop = () => stopping.abort();
  const close = async (): Promise<void> => {
    stop();
    waiters.close();
    await inTime(admission.close());
    await work.close();
    await ground.close();
  };
  const made = { store, files, jobs, arrays, actions, admission, waiters, reader, feed, schedules, producer, metrics };
  const asked = { kick, failOverdue, sweep, readUsageReport };
  return { ...made, ...asked, ...toSettings(config), shutdown: stopping.signal, now, log, stop, close };
};

/** What routes need to know of the configuration. */
const toSettings = (config: ApiConfig) => ({
  classes: config.classes,
  loopbackOnly: config.loopbackOnly,
  openWithoutKeys: config.openWithoutKeys,
  maxFileBytes: config.maxFileBytes,
  uploadQuotaBytes: config.uploadQuotaBytes,
  retentionSeconds: config.retentionSeconds,
  services: config.services,
  maxAgeSeconds: config.maxAgeSeconds,
});

interface JobsParts {
  store: Store;
  admission: Admission;
  onAccepted: (className: string) => void;
  onCancelled: (className: string, ticket: string) => void;
}

const openJobs = ({ classes, defaultImage, allowedRegistries }: ApiConfig, { store, admission, ...on }: JobsParts) =>
  createJobs({
    store: store.jobs,
    uploads: store.uploads,
    admit: admission.admit,
    classes,
    defaultImage,
    allowedRegistries,
    ...on,
  });

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
