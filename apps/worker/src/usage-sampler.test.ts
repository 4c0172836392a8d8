import type { Usage } from '@berth/domain';
import type { UsageSample } from '@berth/store';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLogBook, toClaim } from '../test/fakes.js';
import { createHold, type Hold } from './hold.js';
import type { Container } from './runtime/container-runtime.js';
import { startUsageSampler } from './usage-sampler.js';

const toUsage = (cpu_seconds: number): Usage => ({
  at: 0,
  cpu_seconds,
  memory_peak_bytes: 0,
  network_rx_bytes: 0,
  network_tx_bytes: 0,
  block_read_bytes: 0,
  block_write_bytes: 0,
});

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const createRig = (count: number, readUsage: (id: number) => Promise<Usage | undefined>) => {
  const holds: Hold[] = Array.from({ length: count }, (_, id) => {
    const hold = createHold(
      toClaim({ job_id: `job-${id}` }),
      () => false,
      () => {},
    );
    hold.container = { readUsage: () => readUsage(id) } as Container;
    return hold;
  });
  const noted: UsageSample[][] = [];
  const noteUsage = async (samples: UsageSample[]) => noted.push(samples);
  const sampler = startUsageSampler({ leases: { all: () => holds }, claims: { noteUsage }, log: createLogBook().log });
  return { holds, noted, sampler };
};

it('looks soon after the start and then every five seconds, and keeps the last on the hold', async () => {
  let looks = 0;
  const { holds, noted, sampler } = createRig(1, async () => toUsage(++looks));
  await vi.advanceTimersByTimeAsync(600);
  expect(looks).toBe(1);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(looks).toBe(1);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(looks).toBe(4);
  expect(holds[0]?.usage?.cpu_seconds).toBe(4);
  expect(noted.map(([sample]) => sample?.usage.cpu_seconds)).toEqual([1, 2, 3, 4]);
  expect(noted[0]?.[0]?.held.job_id).toBe('job-0');
  sampler.close();
});

it('looks at no more than four of a thousand at once, at each less often, and tells the record in a few calls', async () => {
  let now = 0;
  let most = 0;
  let looks = 0;
  const { noted, sampler } = createRig(1_000, async () => {
    now += 1;
    looks += 1;
    most = Math.max(most, now);
    await Promise.resolve();
    now -= 1;
    return toUsage(1);
  });
  await vi.advanceTimersByTimeAsync(3_000);
  expect(most).toBe(4);
  expect(looks).toBe(1_000);
  expect(noted.map((samples) => samples.length)).toEqual([200, 200, 200, 200, 200]);
  await vi.advanceTimersByTimeAsync(16_000);
  expect(looks).toBe(1_000);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(looks).toBe(2_000);
  sampler.close();
});

it('begins no second pass while a slow engine is still asked, and notes nothing of what is not there yet', async () => {
  let asked = 0;
  let answer: (usage: Usage | undefined) => void = () => {};
  const { noted, sampler } = createRig(1, () => {
    asked += 1;
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toBe(1);
  answer(undefined);
  await vi.advanceTimersByTimeAsync(600);
  expect(asked).toBe(2);
  answer(toUsage(3));
  await vi.advanceTimersByTimeAsync(0);
  expect(noted.flat().map(({ usage }) => usage.cpu_seconds)).toEqual([3]);
  sampler.close();
});
