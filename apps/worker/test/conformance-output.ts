import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { Container, OutputPosition, OutputStream } from '../src/runtime/container-runtime.js';
import type { FakeWrite } from '../src/runtime/fake-runtime.js';
import { collect, type Subject, useSubject } from './conformance.js';

const LONG = 'x'.repeat(40_000);

/** Lines of several bytes a character, one that the engine cuts into parts, bytes that are no text, an end without a newline. */
const toPart = (from: number, to: number): FakeWrite[] => {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i);
  const lines = numbers.flatMap((n): FakeWrite[] => [
    { stream: 'stdout', data: `é€😀 ${n}\n` },
    { stream: 'stderr', data: `${n} ü` },
  ]);
  return [
    ...lines,
    { stream: 'stdout', data: `${LONG}\n` },
    { stream: 'stdout', data: Buffer.from([255, 254, 0, 32]) },
  ];
};
const PART = `part() { i=$1
  while [ $i -lt $2 ]; do printf 'é€😀 %d\\n' $i; printf '%d ü' $i >&2; i=$((i+1)); done
  head -c 40000 /dev/zero | tr '\\000' x; echo; printf '\\377\\376\\000 '; }`;

const FIRST = toPart(0, 60);
const SECOND = toPart(60, 120);

/** Writes half of its output, and the rest a while later. */
export const TALKER = {
  argv: ['/bin/sh', '-c', `${PART}\npart 0 60; sleep 1; part 60 120`],
  fake: { output: [...FIRST, ...SECOND.map((write, i) => (i === 0 ? { ...write, after_ms: 300 } : write))] },
};

const toTruth = (writes: FakeWrite[], stream: OutputStream): Buffer =>
  Buffer.concat(writes.filter((write) => write.stream === stream).map(({ data }) => Buffer.from(data)));
const TRUTH = { stdout: toTruth(TALKER.fake.output, 'stdout'), stderr: toTruth(TALKER.fake.output, 'stderr') };
const HALF = toTruth(FIRST, 'stdout').length;

type Cut = Record<OutputStream, number>;

/** As if so many bytes of each stream had been stored. */
const toPosition = (cut: Cut, onGap: () => void = () => undefined): OutputPosition => {
  const upTo = (stream: OutputStream) => {
    const bytes = Math.min(cut[stream], TRUTH[stream].length);
    return { bytes, tail: TRUTH[stream].subarray(Math.max(0, bytes - 1_024), bytes) };
  };
  return { stdout: upTo('stdout'), stderr: upTo('stderr'), onGap };
};

/** Reads on from the place, to the end. */
const readOn = async (container: Container, cut: Cut) => {
  const onGap = vi.fn();
  const output = collect();
  const from = toPosition(cut, onGap);
  await container.follow(output.sink, from);
  return async () => {
    const report = await container.ended();
    const whole = (stream: OutputStream) =>
      Buffer.concat([TRUTH[stream].subarray(0, from[stream].bytes), output[stream]()]).toString('hex');
    const gaps = onGap.mock.calls.length;
    return { report, gaps, stdout: whole('stdout'), stderr: whole('stderr') };
  };
};

const WHOLE = {
  report: expect.objectContaining({ kind: 'exited', exit_code: 0 }),
  gaps: 0,
  stdout: TRUTH.stdout.toString('hex'),
  stderr: TRUTH.stderr.toString('hex'),
};

/** `seed` is printed with a failure, and stands here for the one that is to be looked at again. */
const seed = Number(process.env.SEED ?? Date.now());

const someCuts = (most: Cut): Cut[] => {
  const cut = fc.record({
    stdout: fc.integer({ min: 0, max: most.stdout }),
    stderr: fc.integer({ min: 0, max: most.stderr }),
  });
  return [{ stdout: 0, stderr: 0 }, most, ...fc.sample(cut, { seed, numRuns: 8 })];
};

/** Holds a runtime to it that output goes on from the exact byte, whoever reads it. */
export const describeOutput = (name: string, subject: Subject): void => {
  describe(`${name} goes on with output from the exact byte`, () => {
    const { open, startNew } = useSubject(subject);

    test('of a container that runs, from anywhere', async () => {
      const former = subject.open(subject.installation);
      const { container, output } = await startNew(former, TALKER);
      await vi.waitFor(() => expect(output.stdout().length).toBeGreaterThanOrEqual(HALF), { timeout: 60_000 });
      const most = { stdout: output.stdout().length, stderr: output.stderr().length };
      const heirs = await Promise.all(someCuts(most).map((cut) => readOn(open().open(container.id), cut)));
      await former.close();
      for (const end of heirs) expect(await end(), `SEED=${seed}`).toEqual(WHOLE);
    });

    test('of a container that has ended, from anywhere', async () => {
      const { container } = await startNew(open(), TALKER);
      await container.ended();
      const most = { stdout: TRUTH.stdout.length, stderr: TRUTH.stderr.length };
      const heirs = await Promise.all(someCuts(most).map((cut) => readOn(open().open(container.id), cut)));
      for (const end of heirs) expect(await end(), `SEED=${seed}`).toEqual(WHOLE);
    });

    test('and says where it cannot: what is stored is not what stands there', async () => {
      const { container } = await startNew(open(), TALKER);
      await container.ended();
      const onGap = vi.fn();
      const output = collect();
      const stored = { bytes: 2_000, tail: Buffer.alloc(1_024, '?') };
      const heir = open().open(container.id);
      await heir.follow(output.sink, { ...toPosition({ stdout: 0, stderr: 50 }, onGap), stdout: stored });
      await heir.ended();
      expect(onGap).toHaveBeenCalledTimes(1);
      expect(output.stdout()).toEqual(TRUTH.stdout.subarray(2_000));
      expect(output.stderr()).toEqual(TRUTH.stderr.subarray(50));
    });

    test('and says where more is stored than the engine has', async () => {
      const { container } = await startNew(open(), TALKER);
      await container.ended();
      const onGap = vi.fn();
      const output = collect();
      const { stdout, stderr } = toPosition({ stdout: TRUTH.stdout.length, stderr: TRUTH.stderr.length });
      const heir = open().open(container.id);
      await heir.follow(output.sink, { stdout: { bytes: stdout.bytes + 7, tail: stdout.tail }, stderr, onGap });
      await heir.ended();
      expect(onGap).toHaveBeenCalledTimes(1);
      expect(output.stdout().length + output.stderr().length).toBe(0);
    });

    test('of nothing there is: a container that is gone', async () => {
      const runtime = open();
      const { container } = await startNew(runtime, TALKER);
      await container.remove();
      const from = toPosition({ stdout: 0, stderr: 0 });
      await expect(
        open()
          .open(container.id)
          .follow(() => undefined, from),
      ).rejects.toMatchObject({ code: 'not_found' });
    });
  });
};
