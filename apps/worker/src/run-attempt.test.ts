import type { LeaseState, Settlement } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { never, type Play, replyOf, settled, setUp, untilStep } from '../test/attempt-rig.js';
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

  it('keeps the image and the evidence in the entry of the attempt', async () => {
    const { record, run } = setUp({ program: { exit_code: 137, oom_killed: true, oom_flag: false } });
    await run();
    expect(settled(record.settlements).entry).toEqual({
      node: 'node-1',
      image_digest: expect.stringMatching(/^sha256:/),
      evidence: {
        exit_code: 137,
        signal: 'SIGKILL',
        oom_kills: 1,
        oom_flag: false,
        memory_peak_bytes: null,
        asked_by: null,
      },
    });
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

describe('the last look at the record before the start', () => {
  it.each<[LeaseState, string[], string | undefined]>([
    ['cancel', ['container created', 'settle cancelled', 'container removed'], 'cancelled'],
    ['over', ['container created', 'container removed'], undefined],
    ['moved', ['container created'], undefined],
  ])('%s: the container is never started', async (state, expected, type) => {
    const { run, steps, record, leases } = setUp({ claims: { renew: async () => [state] } });
    const end = await run();
    expect(steps).toEqual(expected);
    expect(record.settlements[0]?.type).toBe(type);
    expect(end).toMatchObject(state === 'moved' ? { kind: 'left', why: 'moved' } : { kind: 'ended' });
    expect(leases.size).toBe(0);
  });

  it('is waited for, however long the broker is away', async () => {
    const confirmed = defer<LeaseState[]>();
    const { run, steps } = setUp({ claims: { renew: () => confirmed.promise } });
    const ending = run();
    await untilStep(steps, 'container created');
    await new Promise((resolve) => setImmediate(resolve));
    expect(steps).toEqual(['container created']);
    confirmed.resolve(['held']);
    await ending;
    expect(steps).toContain('settle completed');
  });

  it.each(['cancel', 'release', 'let go'])('is not waited for by a %s', async (what) => {
    const { run, steps, leases } = setUp({ claims: { renew: () => new Promise(() => {}) } });
    const ending = run();
    await untilStep(steps, 'container created');
    if (what === 'cancel') leases.cancel('job-1');
    if (what === 'release') leases.releaseAll();
    if (what === 'let go') leases.letGoAll();
    const end = await ending;
    expect(end.kind).toBe(what === 'let go' ? 'left' : 'ended');
    expect(steps).not.toContain('container started');
  });
});

describe('a worker that lets go', () => {
  it('stores what has come of the output, and touches neither container nor record', async () => {
    const program = { until: never, output: [{ stream: 'stdout' as const, data: 'so far' }] };
    const { run, steps, output, engine, leases } = setUp({ program });
    const ending = run();
    await untilStep(steps, 'start');
    leases.letGoAll();
    expect(await ending).toEqual({ kind: 'left', why: 'let_go' });
    expect(output.textOf('stdout', 'stderr', 'note')).toBe('so far');
    expect(steps).toEqual(['container created', 'container started', 'start']);
    expect([...engine.containers.values()].map((c) => c.state)).toEqual(['running']);
    expect(leases.size).toBe(0);
  });

  it('makes no container for a claim whose reply came late', async () => {
    const { run, steps, leases } = setUp();
    leases.letGoAll();
    expect(await run()).toEqual({ kind: 'left', why: 'let_go' });
    expect(steps.filter((step) => step !== 'container created')).toEqual([]);
  });

  it('does not wait for an image to be pulled', async () => {
    const { run, steps, leases } = setUp({ runtime: () => ({ resolveImage: () => new Promise(() => {}) }) });
    const ending = run();
    leases.letGoAll();
    expect(await ending).toEqual({ kind: 'left', why: 'let_go' });
    expect(steps).toEqual([]);
  });

  it('writes the end of what ends meanwhile', async () => {
    const end = defer();
    const { run, steps, record, leases } = setUp({
      program: { until: end.promise },
      claims: {
        settle: async (_claim, settlement) => {
          leases.letGoAll();
          record.settlements.push(settlement);
          return { kind: 'settled', state: 'completed' };
        },
      },
    });
    const ending = run();
    await untilStep(steps, 'start');
    end.resolve();
    expect((await ending).kind).toBe('ended');
    expect(settled(record.settlements).type).toBe('completed');
  });
});

describe('an attempt that another worker has taken over', () => {
  it('while it ran is left alone', async () => {
    const { run, steps, leases } = setUp({ program: { until: never } });
    const ending = run();
    await untilStep(steps, 'start');
    leases.find('job-1')?.leaveIt('moved');
    expect(await ending).toEqual({ kind: 'left', why: 'moved' });
    expect(steps).toEqual(['container created', 'container started', 'start']);
  });

  it('while it was being written keeps its container: it is the other one who removes it', async () => {
    const full = Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' });
    const { run, steps, leases, engine } = setUp({
      claims: {
        settle: async () => {
          leases.find('job-1')?.leaveIt('moved');
          throw full;
        },
      },
    });
    expect(replyOf(await run())).toBeUndefined();
    expect(steps).not.toContain('container removed');
    expect(engine.containers.size).toBe(1);
  });

  it("and finds it out by the record's refusal keeps its container too", async () => {
    const { run, steps } = setUp({ claims: { settle: async () => ({ kind: 'stale', state: 'running' }) } });
    expect(replyOf(await run())).toEqual({ kind: 'stale', state: 'running' });
    expect(steps).not.toContain('container removed');
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
    it.context.logs.append = async (_claim, { pieces }) => {
      it.steps.push(`stored ${Buffer.concat(pieces.map((p) => p.bytes))}`);
      return 'stored';
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
