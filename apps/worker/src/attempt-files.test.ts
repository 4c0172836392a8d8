import { gunzipSync } from 'node:zlib';
import { type ArtifactManifest, FilesUnavailable } from '@berth/store';
import { describe, expect, it, vi } from 'vitest';
import { settled, setUp, untilStep } from '../test/attempt-rig.js';
import { defer } from '../test/fakes.js';
import { RuntimeFault } from './runtime/container-runtime.js';

const OUTPUTS = { outputs: ['out/**', '*.csv'] };
const LEFT = { 'a.csv': '1,2', 'out/b': 'b', 'c.txt': 'not asked for' };

const readManifest = (rig: ReturnType<typeof setUp>, name: string): ArtifactManifest =>
  JSON.parse(gunzipSync(rig.memory.objects.get(name) ?? Buffer.alloc(0)).toString());

/** An attempt whose outputs are on their way to the store, until that is broken off. */
const collectForEver = async () => {
  const reached = defer();
  const rig = setUp({
    program: { files: LEFT },
    spec: OUTPUTS,
    files: {
      put: async (_name, _source, options) => {
        reached.resolve();
        return new Promise((_, reject) =>
          options?.signal?.addEventListener('abort', () => reject(new Error('broken off'))),
        );
      },
    },
  });
  const ended = rig.run();
  await reached.promise;
  return { rig, ended };
};

describe('outputs of an attempt', () => {
  it.each([0, 3])('are stored before its end is told, whatever its exit code: %d', async (exit_code) => {
    const rig = setUp({ program: { files: LEFT, exit_code }, spec: OUTPUTS });
    await rig.run();
    const { entry } = settled(rig.record.settlements);
    expect(entry.artifacts).toEqual({ epoch: 1, files: 2, bytes: 4, refused: 0, notes: [] });
    expect(rig.memory.objects.get('artifacts/job-1/1.pack')?.toString()).toBe('1,2b');
    expect(readManifest(rig, 'artifacts/job-1/1.json.gz').files).toMatchObject([
      { path: 'a.csv', offset: 0, bytes: 3 },
      { path: 'out/b', offset: 3, bytes: 1 },
    ]);
    expect(rig.steps.at(-1)).toBe('container removed');
  });

  it('are stored of a job that was cancelled, and not of one that asks for none', async () => {
    const rig = setUp({ program: { files: LEFT, until: new Promise(() => {}) }, spec: OUTPUTS });
    const ended = rig.run();
    await untilStep(rig.steps, 'start');
    rig.leases.cancel('job-1');
    await ended;
    expect(settled(rig.record.settlements)).toMatchObject({ type: 'cancelled', entry: { artifacts: { files: 2 } } });
    const none = setUp({ program: { files: LEFT } });
    await none.run();
    expect(settled(none.record.settlements).entry.artifacts).toBeUndefined();
    expect(none.memory.objects.size).toBe(0);
  });

  it('are collected anew by who adopts a container that has ended', async () => {
    const rig = setUp({ program: { files: LEFT }, spec: OUTPUTS });
    await rig.place('started');
    rig.memory.objects.set('artifacts/job-1/1.pack', Buffer.from('half'));
    await rig.adopt({ ran_ms: 10 });
    expect(settled(rig.record.settlements).entry.artifacts).toMatchObject({ files: 2 });
    expect(rig.memory.objects.get('artifacts/job-1/1.pack')?.toString()).toBe('1,2b');
  });

  it('are left to whoever adopts, when the worker shuts down in the middle', async () => {
    const { rig, ended } = await collectForEver();
    rig.leases.letGoAll();
    expect(await ended).toEqual({ kind: 'left', why: 'let_go' });
    expect(rig.record.settlements).toEqual([]);
    expect(rig.engine.containers.size).toBe(1);
  });

  it('are not waited for by who cancels while they are collected', async () => {
    const { rig, ended } = await collectForEver();
    rig.leases.cancel('job-1');
    await ended;
    expect(settled(rig.record.settlements).entry.artifacts?.notes).toEqual([
      expect.stringContaining('cancelled meanwhile'),
    ]);
  });

  it('that somebody removed with the container, or that cannot be read at all, are a note, and the outcome is as it was', async () => {
    for (const code of ['not_found', 'start_failed'] as const) {
      const rig = setUp({
        program: { exit_code: 7 },
        spec: OUTPUTS,
        container: () => ({
          // biome-ignore lint/correctness/useYield: it fails before the first byte
          copyOut: async function* () {
            throw new RuntimeFault(code, 'no');
          },
        }),
      });
      await rig.run();
      expect(settled(rig.record.settlements)).toMatchObject({
        exit_code: 7,
        entry: { artifacts: { files: 0, notes: [expect.any(String)] } },
      });
    }
  });
});

describe('inputs of an attempt', () => {
  const withInput = (files = {}) => {
    const rig = setUp({
      spec: { inputs: [{ file_id: 'a'.repeat(64), path: 'in.txt' }] },
      files,
    });
    return rig;
  };

  it('that are gone end it as one that could not start, with their names', async () => {
    const rig = withInput();
    await rig.run();
    expect(settled(rig.record.settlements)).toMatchObject({
      type: 'failed',
      cause: 'start_failed',
      message: expect.stringContaining('input in.txt: the file aaaa'),
    });
    expect(rig.steps).not.toContain('container started');
  });

  it('are laid before the start, and laid anew where the container is made anew', async () => {
    const rig = setUp();
    const file_id = rig.memory.upload('hello');
    rig.held.spec.inputs = [{ file_id, path: 'data/in.txt' }];
    await rig.place('created');
    await rig.adopt({ ran_ms: null });
    const steps = rig.steps.filter((step) => step.startsWith('container'));
    expect(steps).toEqual(['container removed', 'container created', 'container started', 'container removed']);
    expect(rig.laid).toEqual([{ 'data/': '', 'data/in.txt': 'hello' }]);
  });

  it('whose store is away are asked for again, with a container of their own', async () => {
    let away = 1;
    const rig = setUp({
      files: {
        read: async () => {
          if (away-- > 0) throw new FilesUnavailable('away');
          const { Readable } = await import('node:stream');
          return Readable.from([Buffer.from('hello')], { objectMode: false });
        },
      },
    });
    const file_id = rig.memory.upload('hello');
    rig.held.spec.inputs = [{ file_id, path: 'in.txt' }];
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    const ended = rig.run();
    await vi.advanceTimersByTimeAsync(3_000);
    vi.useRealTimers();
    await ended;
    expect(rig.steps.filter((step) => step === 'container created')).toHaveLength(2);
    expect(settled(rig.record.settlements).type).toBe('completed');
  });

  it('whose store stays away cost the job nothing: it is given back', async () => {
    const rig = setUp({
      files: {
        read: async () => {
          throw new FilesUnavailable('away');
        },
      },
    });
    rig.held.spec.inputs = [{ file_id: rig.memory.upload('x'), path: 'in.txt' }];
    vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] });
    const ended = rig.run();
    await vi.advanceTimersByTimeAsync(65_000);
    vi.useRealTimers();
    await ended;
    expect(settled(rig.record.settlements)).toMatchObject({
      type: 'released',
      message: expect.stringContaining('file store'),
    });
    expect(rig.engine.containers.size).toBe(0);
  });

  it('are given up when the job is cancelled meanwhile', async () => {
    const reached = defer();
    const rig = setUp({
      container: () => ({
        copyIn: async (_tar, signal) => {
          reached.resolve();
          return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('broken off'))));
        },
      }),
    });
    rig.held.spec.inputs = [{ file_id: rig.memory.upload('x'), path: 'in.txt' }];
    const ended = rig.run();
    await reached.promise;
    rig.leases.cancel('job-1');
    await ended;
    expect(settled(rig.record.settlements).type).toBe('cancelled');
    expect(rig.engine.containers.size).toBe(0);
  });
});
