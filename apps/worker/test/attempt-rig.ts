import type { Adoption, Claims, FileStore, Settlement } from '@berth/store';
import { expect, onTestFinished, vi } from 'vitest';
import { toContainerOptions } from '../src/attempt-options.js';
import { keepLeases } from '../src/leases.js';
import { type AttemptEnd, runAttempt } from '../src/run-attempt.js';
import type { Container, ContainerRuntime } from '../src/runtime/container-runtime.js';
import { createFakeEngine, createFakeRuntime, type FakeProgram } from '../src/runtime/fake-runtime.js';
import { createFakeClaims, createFakeLogs, createLogBook, toAdoption, toClaim } from './fakes.js';
import { createMemoryFiles } from './memory-files.js';
import { extractAll } from './tar-text.js';

export interface Play {
  program?: FakeProgram;
  spec?: Record<string, unknown>;
  claim?: Parameters<typeof toClaim>[0];
  claims?: Partial<Claims>;
  /** Puts parts of the runtime in place of the fake's, given the fake's. */
  runtime?: (fake: ContainerRuntime) => Partial<ContainerRuntime>;
  /** Puts parts of each container in place of the fake's. */
  container?: (fake: Container) => Partial<Container>;
  images?: 'here' | 'unknown' | 'unreachable';
  /** Puts parts of the file store in place of the one in memory. */
  files?: Partial<FileStore>;
}

/** One attempt on a fake engine and record; `steps` is what happened on both, in order. */
export const setUp = ({
  program = {},
  spec = {},
  claim = {},
  claims = {},
  runtime,
  container,
  images,
  files,
}: Play = {}) => {
  const engine = createFakeEngine({ program: () => program, images: () => images ?? 'here' });
  const fake = createFakeRuntime(engine, 'test');
  const record = createFakeClaims(claims);
  const steps = record.calls;
  const laid: Record<string, string>[] = [];
  const wrap = wrapWith(steps, laid, container);
  const outer: ContainerRuntime = {
    ...fake,
    create: async (options) => {
      steps.push('container created');
      return wrap(await fake.create(options));
    },
    open: (id) => wrap(fake.open(id)),
    ...runtime?.(fake),
  };
  const output = createFakeLogs();
  const book = createLogBook();
  const leases = keepLeases(record.claims, book.log);
  onTestFinished(() => leases.close());
  const onEngineFault = vi.fn();
  const memory = createMemoryFiles(files);
  const context = {
    runtime: outer,
    claims: record.claims,
    logs: output.logs,
    leases,
    node: 'node-1',
    installation: 'test',
    logLimitBytes: 1_000_000,
    jobFiles: { files: memory.files, uploads: memory.uploads, limits: { files: 100, bytes: 1_000_000 } },
    profileOf: () => 'standard' as const,
    fakeGpus: false,
    onEngineFault,
    log: book.log,
  };
  const held = toClaim(claim, spec);
  const run = async (adoption?: Adoption): Promise<AttemptEnd> => {
    const end = await runAttempt(held, context, adoption);
    if (end.kind === 'ended') await end.removed;
    return end;
  };
  /** Goes on with an epoch that another worker has begun. */
  const adopt = (fields: Partial<Adoption> = {}) => run(toAdoption(fields, held));
  /** The container of the epoch, as another worker has made it. */
  const place = async (state: 'created' | 'started'): Promise<string> => {
    const made = await fake.create(toContainerOptions(held, context));
    if (state === 'started') await made.start(() => {});
    return made.id;
  };
  return {
    engine,
    fake,
    memory,
    held,
    laid,
    record,
    steps,
    output,
    book,
    leases,
    context,
    run,
    adopt,
    place,
    onEngineFault,
  };
};

async function* toSource(chunks: Uint8Array[]) {
  yield* chunks;
}

const wrapWith =
  (steps: string[], laid: Record<string, string>[], container: Play['container']) =>
  (inner: Container): Container => {
    const note = (what: string) => void steps.push(`container ${what}`);
    return {
      ...inner,
      copyIn: async (tar, signal) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of tar) chunks.push(chunk);
        laid.push(await extractAll(toSource(chunks)));
        return inner.copyIn(toSource(chunks), signal);
      },
      start: (sink, onGap) => {
        note('started');
        return inner.start(sink, onGap);
      },
      follow: (sink, from) => {
        note('followed');
        return inner.follow(sink, from);
      },
      stop: (grace) => {
        note(`stopped ${grace}`);
        return inner.stop(grace);
      },
      remove: () => {
        note('removed');
        return inner.remove();
      },
      discard: async () => {
        const gone = await inner.discard();
        if (gone) note('removed');
        return gone;
      },
      ...container?.(inner),
    };
  };

/** The one settlement that there must be. */
export const settled = (settlements: Settlement[]) => {
  expect(settlements).toHaveLength(1);
  return settlements[0] as Settlement;
};

/** What the record replied to an attempt that must have ended. */
export const replyOf = (end: AttemptEnd) => {
  if (end.kind !== 'ended') throw new Error(`the attempt was left: ${end.why}`);
  return end.reply;
};

export const never = new Promise(() => {});
export const untilStep = (steps: string[], step: string) =>
  vi.waitFor(() => expect(steps).toContain(step), { timeout: 30_000, interval: 1 });
