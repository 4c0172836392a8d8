import type { Usage } from '@berth/domain';
import { describe, expect, test, vi } from 'vitest';
import type { Container } from '../src/runtime/container-runtime.js';
import { PROGRAMS, type Subject, useSubject } from './conformance.js';

/** The first processes of a container come into its cgroup a moment after it has started. */
const untilSeen = (container: Container): Promise<Usage> =>
  vi.waitFor(
    async () => {
      const usage = await container.readUsage();
      if (usage === undefined || usage.memory_peak_bytes === 0) throw new Error('nothing is seen of it yet');
      return usage;
    },
    { timeout: 60_000, interval: 20 },
  );

/** Holds a runtime to the truth about what containers use. */
export const describeUsage = (name: string, subject: Subject): void => {
  describe(`${name} tells what a container uses`, () => {
    const { open, options, startNew } = useSubject(subject);

    test('while it runs, whoever asks, and never less than before', async () => {
      const { container } = await startNew(open(), PROGRAMS.sleeper);
      const first = await untilSeen(container);
      const second = await untilSeen(open().open(container.id));
      for (const usage of [first, second]) {
        expect(Math.abs(usage.at - Date.now())).toBeLessThan(20_000);
        expect(usage.memory_peak_bytes).toBeGreaterThan(0);
        expect(usage.memory_peak_bytes).toBeLessThanOrEqual(32 * 1024 * 1024);
        expect(usage).toMatchObject({ network_rx_bytes: 0, network_tx_bytes: 0 });
      }
      expect(second.cpu_seconds).toBeGreaterThanOrEqual(first.cpu_seconds ?? Number.POSITIVE_INFINITY);
    });

    test('and nothing of one that was not started, has ended or is gone', async () => {
      const runtime = open();
      const unstarted = await runtime.create(options(PROGRAMS.sleeper));
      expect(await unstarted.readUsage()).toBeUndefined();
      const { container } = await startNew(runtime, PROGRAMS.sleeper);
      await untilSeen(container);
      await container.stop(0);
      await container.ended();
      expect(await container.readUsage()).toBeUndefined();
      await container.remove();
      expect(await container.readUsage()).toBeUndefined();
    });
  });
};
