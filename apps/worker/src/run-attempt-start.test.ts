import type { Claims } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { setUp } from '../test/attempt-rig.js';

describe('a container that is made and not started yet', () => {
  const slowly = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return work();
  };
  const count = (steps: string[], step: string) => steps.filter((one) => one === step).length;
  const play = async (run: () => Promise<unknown>) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const ending = run();
    await vi.advanceTimersByTimeAsync(60_000);
    await ending;
  };

  it('does not take a slow engine for a slow answer: one container is made', async () => {
    const { run, steps } = setUp({
      runtime: (fake) => ({ create: (options) => slowly(20_000, () => fake.create(options)) }),
    });
    await play(run);
    expect(steps).toContain('settle completed');
  });

  it('that takes long is taken again for a new container, whose deadline has not begun yet', async () => {
    let looks = 0;
    const renew: Claims['renew'] = async (held) => {
      looks += 1;
      return slowly(looks === 1 ? 8_000 : 0, async () => held.map(() => 'held' as const));
    };
    const { run, steps } = setUp({ claims: { renew } });
    await play(run);
    expect([count(steps, 'container created'), count(steps, 'container started')]).toEqual([2, 1]);
  });
});
