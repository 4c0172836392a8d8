import type { JobRecord } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createFakeClaims, createLogBook, toClaim } from '../test/fakes.js';
import { keepLeases } from './leases.js';
import { judgeContainer, reconcile } from './reconcile.js';
import type { ContainerSummary } from './runtime/container-runtime.js';
import { createFakeEngine, createFakeRuntime } from './runtime/fake-runtime.js';

const NOW = 1_000_000_000_000;
const LATE = NOW / 1000 - 60;
const EARLY = NOW / 1000 + 60;

const found = (epoch: number, state: ContainerSummary['state'], deadline = EARLY): ContainerSummary => ({
  id: 'c',
  name: 'n',
  labels: { job_id: 'job-1', epoch, attempt: 1, deadline, installation: 'test' },
  state,
});
const record = (state: JobRecord['state'], epoch: number) => ({ state, epoch }) as JobRecord;

describe('judgeContainer', () => {
  it.each<[string, ContainerSummary, JobRecord | null, string]>([
    ['running, of the present epoch', found(2, 'running'), record('running', 2), 'keep'],
    ['created, of the present epoch', found(2, 'created'), record('running', 2), 'keep'],
    ['ended, of the present epoch: evidence', found(2, 'ended'), record('running', 2), 'keep'],
    ['ended, of the present epoch, past its deadline', found(2, 'ended', LATE), record('running', 2), 'keep'],
    ['running, past its deadline', found(2, 'running', LATE), record('running', 2), 'overdue'],
    [
      'running, past its deadline by less than the margin',
      found(2, 'running', NOW / 1000 - 4),
      record('running', 2),
      'keep',
    ],
    ['of an older epoch', found(1, 'running'), record('running', 2), 'superfluous'],
    ['of a job that waits', found(2, 'running'), record('pending', 2), 'superfluous'],
    ['of a job that has ended', found(2, 'running'), record('completed', 2), 'superfluous'],
    ['of a job that is cancelled', found(2, 'created'), record('cancelled', 2), 'superfluous'],
    ['of a job that nobody knows', found(2, 'ended'), null, 'superfluous'],
  ])('%s', (_what, container, known, verdict) => {
    expect(judgeContainer(container, known, NOW)).toBe(verdict);
  });
});

const open = async (jobs: string[], deadline = 4_000_000_000) => {
  const engine = createFakeEngine();
  const runtime = createFakeRuntime(engine, 'test');
  const shape = { image: 'i', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6 };
  for (const job_id of jobs) {
    const labels = { job_id, epoch: 1, attempt: 1, deadline, installation: 'test' };
    await runtime.create({ ...shape, network: 'none', profile: 'standard', name: job_id, labels });
  }
  const book = createLogBook();
  const leases = keepLeases(createFakeClaims().claims, book.log);
  onTestFinished(() => leases.close());
  const options = { runtime, leases, readJob: async (): Promise<JobRecord | null> => null, log: book.log };
  return { engine, leases, options, book };
};

describe('reconcile', () => {
  it('removes what it found superfluous twice in a row', async () => {
    const { engine, options } = await open(['job-1']);
    const suspects = await reconcile(options, new Set());
    expect([engine.containers.size, suspects.size]).toEqual([1, 1]);
    expect((await reconcile(options, suspects)).size).toBe(0);
    expect(engine.containers.size).toBe(0);
  });

  it('leaves alone what a claim has come to own between the two looks, and what this worker runs', async () => {
    const { engine, options, leases } = await open(['job-1']);
    const suspects = await reconcile(options, new Set());
    const running = { ...options, readJob: async () => record('running', 1) };
    await reconcile(running, suspects);
    expect(engine.containers.size).toBe(1);
    leases.hold(toClaim());
    await reconcile(options, suspects);
    expect(engine.containers.size).toBe(1);
  });

  it('goes on after a container that cannot be removed', async () => {
    const { engine, options, book } = await open(['job-1', 'job-2']);
    const stuck = [...engine.containers.keys()][0];
    const runtime = {
      ...options.runtime,
      open: (id: string) => {
        const container = options.runtime.open(id);
        return id === stuck ? { ...container, remove: () => Promise.reject(new Error('busy')) } : container;
      },
    };
    const suspects = new Set(engine.containers.keys());
    await reconcile({ ...options, runtime }, suspects);
    expect([...engine.containers.keys()]).toEqual([stuck]);
    expect(book.find('could not remove')).toBe(1);
  });
});
