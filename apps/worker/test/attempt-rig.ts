import type { Claims, Settlement } from '@berth/store';
import { expect, onTestFinished, vi } from 'vitest';
import { keepLeases } from '../src/leases.js';
import { runAttempt } from '../src/run-attempt.js';
import type { Container, ContainerRuntime } from '../src/runtime/container-runtime.js';
import { createFakeEngine, createFakeRuntime, type FakeProgram } from '../src/runtime/fake-runtime.js';
import { createFakeClaims, createFakeLogs, createLogBook, toClaim } from './fakes.js';

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
}

/** One attempt on a fake engine and record; `steps` is what happened on both, in order. */
export const setUp = ({ program = {}, spec = {}, claim = {}, claims = {}, runtime, container, images }: Play = {}) => {
  const engine = createFakeEngine({ program: () => program, images: () => images ?? 'here' });
  const fake = createFakeRuntime(engine, 'test');
  const record = createFakeClaims(claims);
  const steps = record.calls;
  const wrap = (inner: Container): Container => ({
    ...inner,
    start: (sink) => {
      steps.push('container started');
      return inner.start(sink);
    },
    stop: (grace) => {
      steps.push(`container stopped ${grace}`);
      return inner.stop(grace);
    },
    remove: () => {
      steps.push('container removed');
      return inner.remove();
    },
    ...container?.(inner),
  });
  const outer: ContainerRuntime = {
    ...fake,
    create: async (options) => {
      steps.push('container created');
      return wrap(await fake.create(options));
    },
    ...runtime?.(fake),
  };
  const output = createFakeLogs();
  const book = createLogBook();
  const leases = keepLeases(record.claims, book.log);
  onTestFinished(() => leases.close());
  const context = {
    runtime: outer,
    claims: record.claims,
    logs: output.logs,
    leases,
    node: 'node-1',
    installation: 'test',
    logLimitBytes: 1_000_000,
    profileOf: () => 'standard' as const,
    log: book.log,
  };
  const run = async () => {
    const end = await runAttempt(toClaim(claim, spec), context);
    await end.removed;
    return end;
  };
  return { engine, record, steps, output, book, leases, context, run };
};

/** The one settlement that there must be. */
export const settled = (settlements: Settlement[]) => {
  expect(settlements).toHaveLength(1);
  return settlements[0] as Settlement;
};

export const never = new Promise(() => {});
export const untilStep = (steps: string[], step: string) =>
  vi.waitFor(() => expect(steps).toContain(step), { interval: 1 });
