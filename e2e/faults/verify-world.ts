import type { FileStore, JobRecord, Store } from '@berth/store';
import { type Report, readAccepted, readEngineEvents, readLedger, readObserved, verify } from '@berth/verify';
import type Docker from 'dockerode';
import { until } from '../harness.js';
import type { Engine } from './engine.js';
import type { EventRecorder } from './events.js';
import type { Ledger } from './ledger.js';
import type { RedisServer } from './redis.js';

export interface VerifyWorld {
  /** False: the system is under way, and nothing is said about what must hold at rest. */
  settled?: boolean;
  /** How long to wait for rest. Default: 60 s. */
  limit_ms?: number;
  /** The true stdout of a job's last attempt. */
  expectedLog?: (job: JobRecord) => Buffer | undefined;
  /** No fault was injected: each job that writes to the ledger has done so exactly once an attempt. */
  faultFree?: boolean;
}

interface Subject {
  engines: Engine[];
  redis: RedisServer;
  objects: FileStore;
  prefix: string;
  store: Store;
  ledger: Ledger;
  recorders: EventRecorder[];
  events: string;
  files: { accepted: string; observed: string };
  seed: number;
  containers(): Promise<Docker.ContainerInfo[]>;
}

/** Looks, and leaves it to the caller what to make of it. */
export const createCheck =
  (subject: Subject) =>
  async ({ settled = true, limit_ms = 60_000, ...options }: VerifyWorld = {}): Promise<Report> => {
    // Where there is no rest, verify says what is in the way.
    if (settled) await untilRest(subject, limit_ms).catch(() => undefined);
    await Promise.all(subject.recorders.map((recorder) => recorder.flush()));
    return verify({
      redis: subject.redis.client,
      files: subject.objects,
      prefix: subject.prefix,
      engines: subject.engines.map(({ docker }) => docker),
      settled,
      accepted: readAccepted(subject.files.accepted),
      ledger: readLedger(subject.ledger.file),
      events: readEngineEvents(subject.events),
      observed: readObserved(subject.files.observed),
      ...options,
    });
  };

export const createVerifier = (subject: Subject) => {
  const check = createCheck(subject);
  return async (options?: VerifyWorld): Promise<void> => {
    const report = await check(options);
    if (!report.ok) throw new Error(`${report.lines.join('\n')}\nSEED=${subject.seed}`);
  };
};

const untilRest = ({ store, containers }: Subject, limit_ms: number) =>
  until(
    'the system to be at rest',
    async () => {
      const { pending, running } = await store.list.countByState(['pending', 'running']);
      return pending + running === 0 && (await containers()).length === 0 ? true : undefined;
    },
    limit_ms,
  );
