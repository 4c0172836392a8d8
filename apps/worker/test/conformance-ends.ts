import { type ExitReport, toOutcome } from '@berth/domain';
import { pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { A_FILE, FINE, PROGRAMS, type Subject, useSubject } from './conformance.js';

/** What the job is told where nobody on our side had asked for the end. */
const toUnaskedOutcome = (report: ExitReport) =>
  toOutcome(report, { intent: undefined, deadline_ms: Number.POSITIVE_INFINITY });

/** What lets a napper end. */
const toWakingTar = (): AsyncIterable<Uint8Array> => {
  const tar = pack();
  tar.entry({ name: 'go', mode: 0o644 }, 'x');
  tar.finalize();
  return tar as AsyncIterable<Uint8Array>;
};

/** Holds a runtime to the truth about how containers end, and to what stands still. */
export const describeEnds = (name: string, subject: Subject): void => {
  describe(`${name} tells how a container ended`, () => {
    const { open, options, startNew } = useSubject(subject);

    test('running out of memory is told apart from being killed', async () => {
      const runtime = open();
      const hungry = await startNew(runtime, PROGRAMS.hungry);
      const report = await hungry.container.ended();
      expect(report).toMatchObject({ kind: 'exited', exit_code: 137, outside_signal: null });
      if (report.kind === 'exited') expect(report.memory.oom_kills).toBeGreaterThan(0);
      expect(toUnaskedOutcome(report)).toEqual({ kind: 'out_of_memory', exit_code: 137 });
      for (const program of [PROGRAMS.suicide, PROGRAMS.exits_137, PROGRAMS.exits_143]) {
        const { container } = await startNew(runtime, program);
        const own = await container.ended();
        expect(own).toMatchObject({ kind: 'exited', memory: FINE, outside_signal: null });
        expect(toUnaskedOutcome(own)).toMatchObject({ kind: 'exited', exit_code: program.fake.exit_code });
      }
    });

    test('tells what runs, paused or not, from what does not', async () => {
      const runtime = open();
      const unstarted = await runtime.create(options(PROGRAMS.sleeper));
      expect(await unstarted.isRunning()).toBe(false);
      const { container } = await startNew(runtime, PROGRAMS.sleeper);
      expect(await container.isRunning()).toBe(true);
      await container.pause();
      expect(await container.isRunning()).toBe(true);
      await container.stop(0);
      expect(await container.isRunning()).toBe(false);
      await container.remove();
      expect(await container.isRunning()).toBe(false);
    });

    test('a child that runs out of memory is noted, and the job goes on', async () => {
      const runtime = open();
      const survived = await startNew(runtime, PROGRAMS.hungry_child);
      expect(toUnaskedOutcome(await survived.container.ended())).toEqual({
        kind: 'exited',
        exit_code: 0,
        message: expect.stringContaining('memory'),
      });
      const failed = await startNew(runtime, PROGRAMS.hungry_child_then_3);
      expect(toUnaskedOutcome(await failed.container.ended())).toEqual({ kind: 'out_of_memory', exit_code: 3 });
    });

    test.each([9, 15, 1])('a signal %i from outside is seen, by whoever watches', async (signal) => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      const reports = Promise.all([container.ended(), open().open(container.id).ended()]);
      await subject.killExternally(container.id, signal);
      for (const report of await reports) {
        expect(report).toMatchObject({ exit_code: 128 + signal, memory: FINE, outside_signal: signal });
        expect(toUnaskedOutcome(report)).toEqual({ kind: 'killed_externally', exit_code: 128 + signal });
      }
    });

    test('an end by a signal from outside, found only afterwards, is still told', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      await subject.killExternally(container.id, 9);
      await container.ended();
      expect(await open().open(container.id).ended()).toMatchObject({ exit_code: 137, outside_signal: 9 });
    });

    test('what stands still does not end, and goes on where it stood', async () => {
      const runtime = open();
      const container = await runtime.create(options(PROGRAMS.napper, { has_files: true }));
      await container.start(() => undefined);
      const ended = container.ended();
      await container.pause();
      await container.pause();
      expect(await runtime.list()).toMatchObject([{ id: container.id, state: 'running', paused: true }]);
      await container.copyIn(toWakingTar());
      const first = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000, 'stands still'))]);
      expect(first).toBe('stands still');
      await container.unpause();
      await container.unpause();
      expect(await ended).toMatchObject({ kind: 'exited', exit_code: 5, memory: FINE, outside_signal: null });
      expect(await runtime.list()).toMatchObject([{ state: 'ended', paused: false }]);
      await container.pause();
      await container.unpause();
    });

    test('stop without a grace time is not polite', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      await container.stop(0);
      expect(await container.ended()).toMatchObject({ exit_code: 137, memory: FINE, outside_signal: null });
    });

    test('what stands still can be stopped and removed; what is gone can be paused', async () => {
      const runtime = open();
      const { container } = await startNew(runtime, PROGRAMS.sleeper);
      await container.pause();
      await container.stop(10);
      expect(await container.ended(), 'it takes no TERM').toMatchObject({ kind: 'exited', exit_code: 137 });
      const other = await startNew(runtime, PROGRAMS.sleeper);
      await other.container.pause();
      await other.container.remove();
      await other.container.pause();
      await other.container.unpause();
      const unstarted = await runtime.create(options(PROGRAMS.hello));
      await unstarted.pause();
      await unstarted.unpause();
      const left = await runtime.list();
      expect(left.map(({ id }) => id).sort()).toEqual([container.id, unstarted.id].sort());
      expect(left.map(({ paused }) => paused)).toEqual([false, false]);
    });

    test.each([A_FILE, `${A_FILE}/below`])('a working directory that is a file: %s', async (workdir) => {
      const runtime = open();
      const made = runtime.create(options(PROGRAMS.hello, { workdir }));
      await expect(made).rejects.toMatchObject({ code: 'start_failed', retryable: false });
      await expect(made).rejects.toThrow(/working directory/);
      await expect(made).rejects.not.toThrow(/overlay|merged|\/var\//);
      expect(await runtime.list()).toEqual([]);
    });
  });
};
