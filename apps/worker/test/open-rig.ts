import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_CLASSES, findClass, type JobState, type ResourceClass, toAsk } from '@berth/domain';
import { openProducer } from '@berth/queue';
import {
  createStore,
  type FileStore,
  type JobRecord,
  type LogStream,
  openLocalFiles,
  openRedis,
  type Store,
  type WireFormat,
} from '@berth/store';
import Docker from 'dockerode';
import type { Redis } from 'ioredis';
import { expect, onTestFinished, vi } from 'vitest';
import { toWorkerConfig } from '../src/config.js';
import { type Overrides, openWorkerContext, type WorkerContext } from '../src/context.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { type RunningWorker, type StopMode, startWorker } from '../src/worker.js';
import { createLogBook, toSpec } from './fakes.js';

export const IMAGE = 'busybox:stable';
export const NOTHING = { centicpus: 0, memory_mb: 0, gpus: 0 };
const PUMP_MS = 10;
/** Within 5 s a job is adopted after the last sign of life of the worker that had it, and this machine may be busy with other things. */
export const ADOPTION_LIMIT_MS = 20_000;

export interface OpenedWorker {
  context: WorkerContext;
  worker: RunningWorker;
  book: ReturnType<typeof createLogBook>;
  /** Claims and draws that this worker has asked for. */
  claims(): number;
  /** Stops and closes it, by default killing its containers; done by itself when the test ends. */
  stop(mode?: StopMode): Promise<void>;
  /** From one moment to the next it gives no more sign of life, writes nothing and touches no container, as if it had been killed. */
  drop(): Promise<void>;
}

export interface Rig {
  prefix: string;
  store: Store;
  redis: Redis;
  submit(fields?: Record<string, unknown>, format?: WireFormat): Promise<string>;
  openWorker(overrides?: Overrides, environment?: Record<string, string>): Promise<OpenedWorker>;
  untilState(job_id: string, state: JobState, limit_ms?: number): Promise<JobRecord>;
  history(job_id: string): Promise<string[]>;
  /** What is stored of the job's output, of one stream or of all with the notes. */
  readLog(job_id: string, stream?: LogStream): Promise<Buffer>;
}

let opened = 0;

const brokerUrl = (): string => {
  const url = process.env.REDIS_URL;
  if (url === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest, which starts a broker');
  return url;
};

/** Does what the API's relay does: moves accepted jobs into BullMQ, and those whose back-off is over. */
const startPump = (store: Store, classes: ResourceClass[], redis: ReturnType<typeof openRedis>) => {
  const names = classes.map((c) => c.name);
  const producer = openProducer({ redis, prefix: store.keys.bull, classes: names, onError: () => {} });
  let passing: Promise<void> | undefined;
  const pass = async () => {
    await store.backlog.releaseDue();
    for (const name of names) await producer.add(name, await store.backlog.dispatch(name, 1_000, 1_000));
  };
  const timer = setInterval(() => {
    passing ??= pass().finally(() => {
      passing = undefined;
    });
  }, PUMP_MS);
  return async () => {
    clearInterval(timer);
    await passing;
    await producer.close();
  };
};

/** Of all workers of a rig together, as on one machine. */
const toFolder = (prefix: string): string => join(tmpdir(), `${prefix}-files`);

/** Opened when it is first needed: most tests read no file. */
const openLazily = (folder: string): FileStore => {
  let opened: Promise<FileStore> | undefined;
  const files = (): Promise<FileStore> => {
    opened ??= openLocalFiles(folder);
    return opened;
  };
  return {
    put: async (...args) => (await files()).put(...args),
    read: async (...args) => (await files()).read(...args),
    stat: async (name) => (await files()).stat(name),
    remove: async (name) => (await files()).remove(name),
    list: async function* (prefix) {
      yield* (await files()).list(prefix);
    },
    close: async () => (await opened)?.close(),
  };
};

const startOne = async (prefix: string, overrides: Overrides, environment: Record<string, string>) => {
  const book = createLogBook();
  const env = {
    REDIS_URL: brokerUrl(),
    DOCKER_HOST: process.env.DOCKER_HOST,
    BERTH_PREFIX: prefix,
    BERTH_FILES: toFolder(prefix),
    ...environment,
  };
  const context = await openWorkerContext(toWorkerConfig(env), { log: book.log, installation: prefix, ...overrides });
  const spies = [vi.spyOn(context.store.claims, 'claim'), vi.spyOn(context.store.claims, 'draw')];
  const worker = await startWorker(context);
  let stopping: Promise<void> | undefined;
  const stop = (mode: StopMode = 'kill') => {
    stopping ??= worker.stop(mode).then(() => context.close());
    return stopping;
  };
  const drop = async () => {
    await context.close();
    stopping = worker.stop('leave');
  };
  onTestFinished(() => stop());
  return {
    context,
    worker,
    book,
    stop,
    drop,
    claims: () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0),
  };
};

const expectNoContainers = async (prefix: string) => {
  const runtime = createDockerRuntime({ installation: prefix, engine: process.env.DOCKER_HOST });
  const left = await runtime.list();
  await Promise.all(left.map(({ id }) => runtime.open(id).remove()));
  await runtime.close();
  expect(left).toEqual([]);
  const docker = new Docker();
  const filters = JSON.stringify({ label: [`berth.installation=${prefix}`] });
  const { Volumes } = (await docker.listVolumes({ filters } as object)) as { Volumes: { Name: string }[] | null };
  for (const { Name } of Volumes ?? []) await docker.getVolume(Name).remove();
  expect(Volumes ?? [], 'volumes are left').toEqual([]);
};

/** A broker's corner for one test: jobs go in as they do from the API. What a test leaves behind fails it. */
export const openRig = (file: string, classes: ResourceClass[] = DEFAULT_CLASSES): Rig => {
  const prefix = `test-worker-${file}-${process.pid}-${opened++}`;
  const redis = openRedis(brokerUrl(), 'steady');
  const store = createStore(redis, prefix, openLazily(toFolder(prefix)));
  const stopPump = startPump(store, classes, redis);
  onTestFinished(async () => {
    await stopPump();
    const keys = await redis.keys(`${prefix}:*`);
    if (keys.length > 0) await redis.unlink(...keys);
    expect(await redis.keys(`${prefix}:*`)).toEqual([]);
    redis.disconnect();
    await rm(toFolder(prefix), { recursive: true, force: true });
    await expectNoContainers(prefix);
  }, 60_000);

  return {
    prefix,
    store,
    redis,
    async submit(fields = {}, format = 'v1') {
      const spec = toSpec(fields);
      const ask = toAsk(spec);
      const found = findClass(classes, ask);
      if (!found) throw new Error('no class holds the job');
      return (await store.jobs.accept({ spec, ask, class: found.name, format })).job_id;
    },
    openWorker: (overrides = {}, environment = {}) => startOne(prefix, overrides, environment),
    async untilState(job_id, state, limit_ms = 60_000) {
      return vi.waitFor(
        async () => {
          const record = await store.jobs.read(job_id);
          expect(record?.state).toBe(state);
          return record as JobRecord;
        },
        { timeout: limit_ms, interval: 10 },
      );
    },
    history: async (job_id) => (await store.jobs.readHistory(job_id)).map((event) => event.type),
    async readLog(job_id, stream) {
      const pieces: Buffer[] = [];
      for await (const piece of store.logs.readBackwards(job_id)) {
        if (stream === undefined || piece.stream === stream) pieces.push(piece.bytes);
      }
      return Buffer.concat(pieces.reverse());
    },
  };
};

export const untilStarted = (rig: Rig, job_id: string): Promise<void> =>
  vi.waitFor(async () => expect((await rig.store.jobs.read(job_id))?.started_at).toBeTypeOf('number'), {
    timeout: 60_000,
    interval: 10,
  });

export const untilWritten = (rig: Rig, job_id: string, text: string) =>
  vi.waitFor(async () => expect((await rig.readLog(job_id)).toString()).toContain(text), {
    timeout: 60_000,
    interval: 10,
  });

export const untilOwned = (rig: Rig, job_id: string, { context }: OpenedWorker, limit_ms = ADOPTION_LIMIT_MS) =>
  vi.waitFor(async () => expect((await rig.store.jobs.read(job_id))?.owner).toBe(context.config.worker), {
    timeout: limit_ms,
    interval: 10,
  });
