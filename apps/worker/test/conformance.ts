import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Container, ContainerOptions, ContainerRuntime, OutputStream } from '../src/runtime/container-runtime.js';
import type { FakeProgram } from '../src/runtime/fake-runtime.js';

export const IMAGE = 'busybox:stable';
export const MISSING_IMAGE = '127.0.0.1:1/nobody/nothing:1';

/** One program in two tongues: what a real container runs, and what the fake does when it is asked to run just that. */
interface Program {
  argv: string[];
  fake: FakeProgram;
}

const sh = (script: string, fake: FakeProgram = {}): Program => ({ argv: ['/bin/sh', '-c', script], fake });
const never = new Promise(() => undefined);
const nap = () => new Promise((resolve) => setTimeout(resolve, 700));

export const PROGRAMS = {
  hello: sh('echo hi', { output: [{ stream: 'stdout', data: 'hi\n' }] }),
  both: sh('echo out; echo err >&2; exit 3', {
    output: [
      { stream: 'stdout', data: 'out\n' },
      { stream: 'stderr', data: 'err\n' },
    ],
    exit_code: 3,
  }),
  bytes: sh("printf '\\377\\000\\376x'", {
    output: [{ stream: 'stdout', data: Buffer.from([0xff, 0x00, 0xfe, 0x78]) }],
  }),
  sleeper: sh('echo up; sleep 600', { output: [{ stream: 'stdout', data: 'up\n' }], until: never }),
  /** Naps until it has a file `go`, and the fake for a while. */
  napper: sh('until [ -e go ]; do sleep 0.05; done; exit 5', {
    get until() {
      return nap();
    },
    exit_code: 5,
  }),
  stubborn: sh('trap "" TERM; echo ready; while :; do sleep 1; done', {
    output: [{ stream: 'stdout', data: 'ready\n' }],
    until: never,
    ignores_term: true,
  }),
  hungry: sh('x=aaaaaaaa; while :; do x=$x$x; done', { exit_code: 137, oom_killed: true }),
  hungry_child: sh('(x=aaaaaaaa; while :; do x=$x$x; done); exit 0', { exit_code: 0, oom_killed: true }),
  hungry_child_then_3: sh('(x=aaaaaaaa; while :; do x=$x$x; done) || exit 3', { exit_code: 3, oom_killed: true }),
  suicide: sh('kill -9 $$', { exit_code: 137 }),
  exits_137: sh('exit 137', { exit_code: 137 }),
  exits_143: sh('exit 143', { exit_code: 143 }),
  shell_finds_nothing: sh('no-such-program', { exit_code: 127 }),
  absent: { argv: ['/no/such/program'], fake: { missing: true } },
  folder: { argv: ['/etc'], fake: { not_executable: true } },
} satisfies Record<string, Program>;

/** A file in the image. */
export const A_FILE = '/bin/busybox';

/** What the fake does for the options of a conformance test. */
export const toFakeProgram = (options: ContainerOptions): FakeProgram => {
  if (options.workdir.startsWith(A_FILE)) return { bad_workdir: true };
  return Object.values(PROGRAMS).find((p) => JSON.stringify(p.argv) === JSON.stringify(options.argv))?.fake ?? {};
};

export const FINE = { oom_kills: 0, oom_flag: false };

export interface Subject {
  installation: string;
  /** A runtime of its own on the one engine under test, as another worker of the machine would have. */
  open(installation: string): ContainerRuntime;
  /** Someone else removes the container by force. */
  removeExternally(id: string): Promise<void>;
  /** Someone else sends it a signal through the engine. */
  killExternally(id: string, signal: number): Promise<void>;
}

export const toOptions = (program: Program, installation: string, more: Partial<ContainerOptions> = {}) => {
  const job_id = randomUUID();
  return {
    name: `berth-${job_id}-e1`,
    image: IMAGE,
    argv: program.argv,
    env: {},
    workdir: '/workspace',
    centicpus: 50,
    memory_mb: 32,
    network: 'none',
    profile: 'standard',
    labels: { job_id, epoch: 1, attempt: 1, deadline: 4_000_000_000, installation },
    ...more,
  } satisfies ContainerOptions;
};

/** Collects what the sink is given, copied as the contract asks. */
export const collect = () => {
  const pieces: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  return {
    sink: (stream: OutputStream, chunk: Buffer) => {
      pieces[stream].push(Buffer.from(chunk));
    },
    stdout: () => Buffer.concat(pieces.stdout),
    stderr: () => Buffer.concat(pieces.stderr),
  };
};

/** To be called within a `describe`: after each test nothing is left of what it opened. What never ends by itself takes signals once it is started. */
export const useSubject = (subject: Subject) => {
  const { installation } = subject;
  const opened: ContainerRuntime[] = [];
  const open = (of = installation): ContainerRuntime => {
    const runtime = subject.open(of);
    opened.push(runtime);
    return runtime;
  };
  const options = (program: Program, more: Partial<ContainerOptions> = {}) => toOptions(program, installation, more);
  const startNew = async (runtime: ContainerRuntime, program: Program) => {
    const output = collect();
    const container = await runtime.create(options(program));
    await container.start(output.sink);
    if (program.fake.until === never) await vi.waitFor(() => expect(output.stdout()).not.toHaveLength(0), 60_000);
    return { container, output };
  };

  afterEach(async () => {
    for (const runtime of opened.splice(0)) {
      for (const { id } of await runtime.list()) await runtime.open(id).remove();
      await runtime.close();
    }
  });
  return { open, options, startNew };
};

/** Holds a runtime to the contract in `container-runtime.ts`. */
export const describeConformance = (name: string, subject: Subject): void => {
  describe(`${name} keeps the contract`, () => {
    const { installation } = subject;
    const { open, options, startNew } = useSubject(subject);

    test('a program runs to its end: output by stream, exit code, times', async () => {
      const { container, output } = await startNew(open(), PROGRAMS.both);
      const report = await container.ended();
      expect(report).toMatchObject({ kind: 'exited', exit_code: 3, memory: FINE, outside_signal: null });
      expect(output.stdout().toString()).toBe('out\n');
      expect(output.stderr().toString()).toBe('err\n');
      if (report.kind !== 'exited') throw new Error('unreachable');
      expect(report.started_at).toBeGreaterThan(1_600_000_000_000);
      expect(report.finished_at).toBeGreaterThanOrEqual(report.started_at ?? Number.POSITIVE_INFINITY);
    });

    test('ended gives the same report as often as it is asked, before and after', async () => {
      const { container } = await startNew(open(), PROGRAMS.hello);
      const [first, second] = await Promise.all([container.ended(), container.ended()]);
      expect(second).toEqual(first);
      expect(await container.ended()).toEqual(first);
    });

    test('bytes that are no text arrive as they are', async () => {
      const { container, output } = await startNew(open(), PROGRAMS.bytes);
      await container.ended();
      expect([...output.stdout()]).toEqual([0xff, 0x00, 0xfe, 0x78]);
    });

    test('of several creates with one name one succeeds', async () => {
      const runtime = open();
      const one = options(PROGRAMS.hello);
      const results = await Promise.allSettled(Array.from({ length: 5 }, () => runtime.create(one)));
      expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
      for (const result of results.filter((r) => r.status === 'rejected')) {
        expect(result.reason).toMatchObject({ code: 'name_taken', retryable: false });
      }
    });

    test('nothing runs before start, and a container that has run is never started again', async () => {
      const runtime = open();
      const container = await runtime.create(options(PROGRAMS.hello));
      expect(await runtime.list()).toMatchObject([{ id: container.id, state: 'created' }]);
      await container.start(() => undefined);
      await container.ended();
      await expect(runtime.open(container.id).start(() => undefined)).rejects.toMatchObject({ code: 'start_failed' });
      expect(await runtime.list()).toMatchObject([{ id: container.id, state: 'ended' }]);
    });

    test('a program that is not in the image, or no program, is start_failed, one that the shell misses is not', async () => {
      const runtime = open();
      const absent = await startNew(runtime, PROGRAMS.absent);
      expect(await absent.container.ended()).toMatchObject({ kind: 'start_failed', exit_code: 127 });
      const folder = await startNew(runtime, PROGRAMS.folder);
      expect(await folder.container.ended()).toMatchObject({ kind: 'start_failed', exit_code: 126 });
      const missed = await startNew(runtime, PROGRAMS.shell_finds_nothing);
      expect(await missed.container.ended()).toMatchObject({ kind: 'exited', exit_code: 127 });
    });

    test('a missing image is a fault of its own, at create and at resolve', async () => {
      const runtime = open();
      const fault = { code: expect.stringMatching(/^image_(not_found|pull_failed)$/) };
      await expect(runtime.resolveImage(MISSING_IMAGE)).rejects.toMatchObject(fault);
      await expect(runtime.create(options(PROGRAMS.hello, { image: MISSING_IMAGE }))).rejects.toMatchObject({
        code: 'image_not_found',
      });
      expect(await runtime.list()).toEqual([]);
    });

    test('an image resolves to one digest however many ask, and is not removed under a container', async () => {
      const runtime = open();
      const images = await Promise.all(Array.from({ length: 8 }, () => runtime.resolveImage(IMAGE)));
      expect(new Set(images.map((i) => i.digest)).size).toBe(1);
      expect(images[0]?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      await startNew(runtime, PROGRAMS.hello);
      expect(await runtime.removeImage(IMAGE)).toMatch(/^(in_use|kept)$/);
      expect(await runtime.removeImage(MISSING_IMAGE)).toBe('removed');
    });

    test('stop ends a program, politely first', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      await container.stop(10);
      expect(await container.ended()).toMatchObject({
        kind: 'exited',
        exit_code: 143,
        memory: FINE,
        outside_signal: null,
      });
      await container.stop(10);
    });

    test('stop kills what ignores TERM once the grace time is over', async () => {
      const { container } = await startNew(open(), PROGRAMS.stubborn);
      await container.stop(1);
      expect(await container.ended()).toMatchObject({
        kind: 'exited',
        exit_code: 137,
        memory: FINE,
        outside_signal: null,
      });
    });

    test('a container that someone else removes is reported as removed', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      const ended = container.ended();
      await subject.removeExternally(container.id);
      expect(await ended).toEqual({ kind: 'removed' });
      await container.stop(1);
      await container.remove();
    });

    test('stop and remove succeed twice, by anyone, and on what is gone', async () => {
      const runtime = open();
      const { container } = await startNew(runtime, PROGRAMS.sleeper);
      const other: Container = open().open(container.id);
      await Promise.all([container.remove(), other.remove()]);
      await container.remove();
      await other.stop(1);
      expect(await other.ended()).toEqual({ kind: 'removed' });
      expect(await runtime.list()).toEqual([]);
    });

    test('discard removes what was never started, succeeds on what is gone, and leaves what runs', async () => {
      const runtime = open();
      const unstarted = await runtime.create(options(PROGRAMS.sleeper));
      expect(await open().open(unstarted.id).discard()).toBe(true);
      expect(await runtime.list()).toEqual([]);
      expect(await unstarted.discard()).toBe(true);
      const { container } = await startNew(runtime, PROGRAMS.sleeper);
      expect(await open().open(container.id).discard()).toBe(false);
      expect(await runtime.list()).toMatchObject([{ id: container.id, state: 'running' }]);
    });

    test('another worker adopts what runs: it sees the end without having started it', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      const other = open();
      expect(await other.list()).toMatchObject([{ id: container.id, state: 'running' }]);
      const adopted = other.open(container.id);
      const ended = adopted.ended();
      await adopted.stop(5);
      expect(await ended).toMatchObject({ kind: 'exited', exit_code: 143 });
    });

    test('an adopted container that had ended already is reported at once', async () => {
      const { container } = await startNew(open(), PROGRAMS.both);
      await container.ended();
      expect(await open().open(container.id).ended()).toMatchObject({ kind: 'exited', exit_code: 3 });
    });

    test('list shows our labels, and nothing of another installation', async () => {
      const runtime = open();
      const asked = options(PROGRAMS.hello);
      await runtime.create(asked);
      const foreign = `${installation}-other`;
      const other = open(foreign);
      await other.create(toOptions(PROGRAMS.hello, foreign));
      expect(await runtime.list()).toMatchObject([{ name: asked.name, labels: asked.labels, state: 'created' }]);
      expect(await other.list()).toMatchObject([{ labels: { installation: foreign } }]);
    });

    test('two runtimes of one engine name the same engine', async () => {
      const [one, two] = await Promise.all([open().describe(), open().describe()]);
      expect(one.id).toBe(two.id);
      expect(one.cpus).toBeGreaterThan(0);
      expect(one.memory_mb).toBeGreaterThan(0);
    });
  });
};
