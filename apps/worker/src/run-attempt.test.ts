import type { Settlement } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { never, type Play, settled, setUp, untilStep } from '../test/attempt-rig.js';
import { defer } from '../test/fakes.js';
import type { ContainerOptions } from './runtime/container-runtime.js';
import { createFakeRuntime } from './runtime/fake-runtime.js';

describe('how an attempt ends', () => {
  it.each<[string, Play, Partial<Settlement>]>([
    ['exit 0', {}, { type: 'completed', cause: null, exit_code: 0 }],
    ['exit 3', { program: { exit_code: 3 } }, { type: 'failed', cause: 'exit_code', exit_code: 3 }],
    ['exit 137 of its own', { program: { exit_code: 137 } }, { type: 'failed', cause: 'exit_code', exit_code: 137 }],
    [
      'out of memory',
      { program: { exit_code: 137, oom_killed: true } },
      { type: 'failed', cause: 'out_of_memory', exit_code: 137 },
    ],
    [
      'a child out of memory, exit 0',
      { program: { exit_code: 0, oom_killed: true } },
      { type: 'completed', cause: null, exit_code: 0 },
    ],
    ['no such image', { images: 'unknown' }, { type: 'failed', cause: 'image_not_found', exit_code: null }],
    ['no registry', { images: 'unreachable' }, { type: 'failed', cause: 'image_pull_failed', exit_code: null }],
    ['refused start', { program: { refused: 126 } }, { type: 'failed', cause: 'start_failed', exit_code: 126 }],
    ['missing program', { program: { missing: true } }, { type: 'failed', cause: 'start_failed', exit_code: 127 }],
    [
      'a failed attempt with another to come',
      { program: { exit_code: 1 }, spec: { max_attempts: 2 } },
      { type: 'retried', cause: 'exit_code', exit_code: 1 },
    ],
  ])('%s', async (_name, play, expected) => {
    const { record, run, engine } = setUp(play);
    await run();
    expect(settled(record.settlements)).toMatchObject(expected);
    expect(engine.containers.size).toBe(0);
  });

  it('gives a retry its back-off', async () => {
    const { record, run } = setUp({ program: { exit_code: 1 }, spec: { max_attempts: 2 } });
    await run();
    expect(settled(record.settlements).delay_ms).toBeGreaterThanOrEqual(500);
  });

  it('does not retry what another attempt cannot mend', async () => {
    const { record, run } = setUp({ images: 'unknown', spec: { max_attempts: 5 } });
    await run();
    expect(settled(record.settlements).type).toBe('failed');
  });

  it('tells a container that somebody else removed from one that its engine took along', async () => {
    const removed = setUp({ program: { until: never } });
    const ending = removed.run();
    await untilStep(removed.steps, 'start');
    for (const id of removed.engine.containers.keys()) removed.engine.removeExternally(id);
    await ending;
    expect(settled(removed.record.settlements)).toMatchObject({ type: 'failed', cause: 'removed_externally' });

    const restarted = setUp({ program: { until: never }, spec: { max_attempts: 1 } });
    const restarting = restarted.run();
    await untilStep(restarted.steps, 'start');
    restarted.engine.restart();
    await restarting;
    expect(settled(restarted.record.settlements)).toMatchObject({ type: 'lost', cause: 'engine_restarted' });
  });

  it('keeps the image and the start in the entry of the attempt', async () => {
    const { record, run } = setUp();
    const before = Date.now();
    await run();
    const { entry } = settled(record.settlements);
    expect(entry).toMatchObject({ node: 'node-1', image_digest: expect.stringMatching(/^sha256:/) });
    expect(entry.started_at).toBeGreaterThanOrEqual(before);
  });

  it('makes the container from the spec alone, named by job and epoch', async () => {
    const seen: ContainerOptions[] = [];
    const { run } = setUp({
      claim: { epoch: 7, attempt: 2 },
      spec: { command: 'echo hi', cpus: 0.29, timeout_seconds: 100, stop_grace_seconds: 5 },
      runtime: (fake) => ({
        create: (options) => {
          seen.push(options);
          return fake.create(options);
        },
      }),
    });
    const now = Math.floor(Date.now() / 1000);
    await run();
    expect(seen[0]).toMatchObject({ name: 'berth-job-1-e7', argv: ['/bin/sh', '-c', 'echo hi'], centicpus: 29 });
    expect(seen[0]?.labels).toMatchObject({ job_id: 'job-1', epoch: 7, attempt: 2, installation: 'test' });
    expect((seen[0]?.labels.deadline ?? 0) - now).toBeGreaterThanOrEqual(115);
    expect((seen[0]?.labels.deadline ?? 0) - now).toBeLessThanOrEqual(117);
  });
});

describe('the order of things', () => {
  it('is create, start, note of the start, settlement, removal', async () => {
    const { run, steps } = setUp();
    await run();
    expect(steps).toEqual(['container created', 'container started', 'start', 'settle completed', 'container removed']);
  });

  it('sends the settlement behind the note of the start without waiting for its reply', async () => {
    const noted = defer<'started'>();
    const { run, steps } = setUp({ claims: { start: () => noted.promise } });
    const ending = run();
    await untilStep(steps, 'settle completed');
    noted.resolve('started');
    await ending;
  });

  it('settles although the note of the start failed', async () => {
    const start = async () => {
      throw new Error('no');
    };
    const { run, record, book } = setUp({ claims: { start } });
    await run();
    expect(settled(record.settlements).type).toBe('completed');
    expect(book.find('could not note the start')).toBe(1);
  });

  it('hands the last output to the store before the settlement', async () => {
    const it = setUp({ program: { output: [{ stream: 'stdout', data: 'last words' }] } });
    it.context.logs.append = async (_id, pieces) => {
      it.steps.push(`stored ${Buffer.concat(pieces.map((p) => p.bytes))}`);
    };
    await it.run();
    expect(it.steps.indexOf('stored last words')).toBeLessThan(it.steps.indexOf('settle completed'));
    expect(it.steps).toContain('stored last words');
  });

  it('removes what an older epoch left on the engine before it creates its own', async () => {
    const { run, steps, engine, context } = setUp({ claim: { epoch: 3 } });
    const labels = { job_id: 'job-1', epoch: 2, attempt: 1, deadline: 4e9, installation: 'test' };
    const others = { ...labels, job_id: 'job-2' };
    const left = { image: 'i', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6 };
    const fake = createFakeRuntime(engine, 'test');
    await fake.create({ ...left, name: 'old', labels, network: 'none', profile: 'standard' });
    await fake.create({ ...left, name: 'other', labels: others, network: 'none', profile: 'standard' });
    let present: string[] = [];
    context.runtime.create = async (options) => {
      present = [...engine.containers.values()].map((c) => c.options.name);
      return fake.create(options);
    };
    await run();
    expect(present).toEqual(['other']);
    expect(steps).toContain('settle completed');
  });
});
