import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ContainerRuntime } from '../src/runtime/container-runtime.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { collect, toOptions } from './conformance.js';
import { openCuttableEngine } from './cuttable-engine.js';

const installation = `test-${randomUUID()}`;
const docker = new Docker();

const openRuntime = (engine?: string): ContainerRuntime => {
  const runtime = createDockerRuntime({ installation, ...(engine === undefined ? {} : { engine }) });
  onTestFinished(() => runtime.close());
  return runtime;
};

const start = async (runtime: ContainerRuntime, script: string) => {
  const output = collect();
  const onGap = vi.fn();
  const container = await runtime.create(toOptions({ argv: ['/bin/sh', '-c', script], fake: {} }, installation));
  await container.start(output.sink, onGap);
  return { container, output, onGap };
};

const NOTHING = { bytes: 0, tail: Buffer.alloc(0) };

const toNumbers = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i}\n`).join('');

const untilWritten = (output: ReturnType<typeof collect>, text: string) =>
  vi.waitFor(() => expect(output.stdout().includes(text)).toBe(true), { timeout: 60_000 });

afterEach(async () => {
  const runtime = createDockerRuntime({ installation });
  for (const { id } of await runtime.list()) await runtime.open(id).remove();
  await runtime.close();
});

describe('the connection to the engine is cut while a container writes', () => {
  const SLOW = 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; echo e$i >&2; [ $((i%10)) = 0 ] && sleep 0.1; done';

  test('its output is taken up again, nothing lost and nothing twice', async () => {
    const engine = await openCuttableEngine();
    onTestFinished(engine.close);
    const { container, output, onGap } = await start(openRuntime(engine.address), SLOW);
    await untilWritten(output, '\n30\n');
    for (const seen of ['\n100\n', '\n200\n']) {
      await engine.cut();
      await engine.heal();
      await untilWritten(output, seen);
    }
    expect(await container.ended()).toMatchObject({ kind: 'exited', exit_code: 0 });
    expect(output.stdout().toString()).toBe(toNumbers(1, 300));
    expect(output.stderr().toString().split('\n')).toHaveLength(301);
    expect(onGap).not.toHaveBeenCalled();
  }, 120_000);

  test('also where the container ends before the engine is there again', async () => {
    const engine = await openCuttableEngine();
    onTestFinished(engine.close);
    const { container, output, onGap } = await start(openRuntime(engine.address), 'echo 1; sleep 1; seq 2 5000');
    await untilWritten(output, '1\n');
    const ended = container.ended();
    await engine.cut();
    await docker.getContainer(container.id).wait();
    await engine.heal();
    expect(await ended).toMatchObject({ kind: 'exited', exit_code: 0 });
    expect(output.stdout().toString()).toBe(toNumbers(1, 5_000));
    expect(onGap).not.toHaveBeenCalled();
  }, 120_000);

  test('a follower of what another worker started takes it up again, too', async () => {
    const engine = await openCuttableEngine();
    onTestFinished(engine.close);
    const { container } = await start(openRuntime(), SLOW);
    const heir = openRuntime(engine.address).open(container.id);
    const output = collect();
    const onGap = vi.fn();
    await heir.follow(output.sink, { stdout: NOTHING, stderr: NOTHING, onGap });
    await untilWritten(output, '\n50\n');
    await engine.cut();
    await engine.heal();
    await heir.ended();
    expect(output.stdout().toString()).toBe(toNumbers(1, 300));
    expect(onGap).not.toHaveBeenCalled();
  }, 120_000);
});

describe('a fast writer is followed', () => {
  test('by several, who come while it writes, each to the last byte', async () => {
    const { container } = await start(openRuntime(), 'for k in 1 2 3 4 5; do seq 1 20000; sleep 0.3; done');
    const ends: Promise<void>[] = [];
    for (let heirs = 0; heirs < 2; heirs += 1) {
      const heir = openRuntime().open(container.id);
      const output = collect();
      const onGap = vi.fn();
      await heir.follow(output.sink, { stdout: NOTHING, stderr: NOTHING, onGap });
      await vi.waitFor(() => expect(output.stdout().length).toBeGreaterThan(heirs * 50_000), { timeout: 60_000 });
      ends.push(
        heir.ended().then(() => {
          expect(output.stdout().equals(Buffer.from(toNumbers(1, 20_000).repeat(5)))).toBe(true);
          expect(onGap).not.toHaveBeenCalled();
        }),
      );
    }
    await Promise.all(ends);
  }, 180_000);
});

describe('more was written than the engine keeps', () => {
  const LINES = 18_000;
  const PAD = '.'.repeat(4_000);
  const toLines = (from: number, to: number): Buffer =>
    Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => `${from + i} ${PAD}\n`).join(''));
  /** Some 72 MB. */
  const write = `x=${PAD}; seq 1 ${LINES} | while read n; do echo "$n $x"; done`;
  const first = toLines(1, 10);
  const stored = { stdout: { bytes: first.length, tail: first.subarray(-1_024) }, stderr: NOTHING };

  test('what is missing is said, and what follows is the end', async () => {
    const { container } = await start(openRuntime(), write);
    await container.ended();
    const output = collect();
    const onGap = vi.fn();
    const heir = openRuntime().open(container.id);
    await heir.follow(output.sink, { ...stored, onGap });
    await heir.ended();
    expect(onGap).toHaveBeenCalledTimes(1);
    const end = toLines(LINES - 5_000, LINES);
    expect(output.stdout().subarray(-end.length).equals(end)).toBe(true);
    expect(output.stdout().length).toBeLessThan(toLines(1, LINES).length - first.length);
  }, 180_000);

  test('one that goes on writing is read to there in one piece, and from now on in another', async () => {
    const { container, output: former } = await start(openRuntime(), `${write}; sleep 1; seq 1 20000`);
    const untilMore = (written: typeof former, bytes: number) =>
      vi.waitFor(() => expect(written.stdout().length).toBeGreaterThan(bytes), { timeout: 60_000, interval: 5 });
    await untilMore(former, 2 * first.length);
    // It writes no further before the reading has begun, or its beginning might be gone.
    await container.pause();
    const output = collect();
    const at: number[] = [];
    const heir = openRuntime().open(container.id);
    await heir.follow(output.sink, { ...stored, onGap: () => at.push(output.stdout().length) });
    await untilMore(output, 0);
    await container.unpause();
    await heir.ended();
    const truth = Buffer.concat([toLines(1, LINES), Buffer.from(toNumbers(1, 20_000))]).subarray(first.length);
    const read = output.stdout();
    expect(at).toHaveLength(1);
    expect(read.subarray(0, at[0]).equals(truth.subarray(0, at[0]))).toBe(true);
    expect(read.subarray(at[0]).equals(truth.subarray(truth.length - read.length + (at[0] ?? 0)))).toBe(true);
    expect(at[0]).toBeGreaterThan(20_000_000);
  }, 240_000);
});
