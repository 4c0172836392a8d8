import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createImageUpkeep, notingUses } from './image-upkeep.js';
import type { ContainerRuntime } from './runtime/container-runtime.js';

const HOUR_MS = 3600_000;
const NOW = 100 * HOUR_MS;

/** A disk of 1000 MB on which each image takes 100, with ages in hours. */
const openMachine = (
  ages: Record<string, number>,
  { replies = {}, blind = false }: { replies?: Record<string, 'in_use' | 'kept'>; blind?: boolean } = {},
) => {
  const images = new Map(Object.entries(ages).map(([image, hours]) => [image, NOW - hours * HOUR_MS]));
  const asked: string[] = [];
  const upkeep = createImageUpkeep({
    runtime: {
      removeImage: async (image) => {
        asked.push(image);
        return replies[image] ?? 'removed';
      },
    },
    uses: {
      listUnused: async (_, since) =>
        [...images]
          .filter(([, used_at]) => used_at < since)
          .sort(([, a], [, b]) => a - b)
          .map(([image, used_at]) => ({ image, used_at })),
      remove: async (_, { image }, work) => {
        const removed = await work();
        if (removed) images.delete(image);
        return removed;
      },
    },
    engine: 'e',
    readDisk: async () => (blind ? null : { total_mb: 1000, free_mb: 1000 - 100 * images.size }),
    percent: 85,
    defaultImage: 'default',
    now: () => NOW,
    log: pino({ level: 'silent' }),
  });
  return { images, asked, upkeep };
};

describe('images of jobs', () => {
  it('go one at a time, the longest unused first, until there is room', async () => {
    const ages = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`i${i}`, 10 - i]));
    const { upkeep, images } = openMachine(ages);
    expect(await upkeep()).toEqual(['i0']);
    expect(images.size).toBe(8);
    expect(await upkeep()).toEqual([]);
  });

  it('stay where they are in use, were used just now, or are the default', async () => {
    const others = { busy: 9, default: 8, local: 7, old: 6, now: 0.1, b: 0.1, c: 0.1, d: 0.1, e: 0.1, f: 0.1 };
    const { upkeep, asked } = openMachine(others, { replies: { busy: 'in_use', local: 'kept' } });
    expect(await upkeep()).toEqual(['old']);
    expect(asked).toEqual(['busy', 'local', 'old']);
  });

  it('stay while the disk has room, or cannot be seen', async () => {
    expect(await openMachine({ a: 9, b: 9 }).upkeep()).toEqual([]);
    const full = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`i${i}`, 10 - i]));
    expect(await openMachine(full).upkeep()).toEqual(['i0', 'i1']);
    expect(await openMachine(full, { blind: true }).upkeep()).toEqual([]);
  });
});

it('a use is noted before the image is looked for, and waits for a removal that is under way', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const said: string[] = [];
  let looks = 0;
  const runtime = {
    resolveImage: async () => {
      said.push('resolve');
      return { digest: 'sha256:x' };
    },
  } as unknown as ContainerRuntime;
  const uses = {
    note: async () => {
      said.push('note');
      return true;
    },
    isGoing: async () => {
      said.push('look');
      looks += 1;
      return looks < 2;
    },
  };
  const resolving = notingUses(runtime, uses, { engine: 'e', now: () => 1 }).resolveImage('a');
  await vi.runAllTimersAsync();
  await resolving;
  expect(said).toEqual(['note', 'look', 'look', 'resolve']);
});
