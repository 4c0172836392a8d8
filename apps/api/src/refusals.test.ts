import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerState } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { findRefusals, type Look, readDisk } from './refusals.js';

const GIB = 1024 ** 3;
const good: BrokerState = {
  used_memory_bytes: 1_000,
  max_memory_bytes: 0,
  eviction_policy: 'noeviction',
  append_failed: false,
  snapshot_failed: false,
};
const look = (broker: Partial<BrokerState> = {}, more: Partial<Look> = {}): Look => ({
  broker: { ...good, ...broker },
  went_back: null,
  outbox_age_ms: 0,
  disk: undefined,
  ...more,
});
const reasons = (seen: Look): string[] => findRefusals(seen).map(({ reason }) => reason);

describe('findRefusals', () => {
  it.each<[string, Look]>([
    ['a broker without a limit', look({ used_memory_bytes: 100 * GIB })],
    ['three quarters of maxmemory', look({ used_memory_bytes: 750, max_memory_bytes: 1_000 })],
    ['a broker that does not say its policy', look({ eviction_policy: null })],
    ['a backlog that has waited 10 s', look({}, { outbox_age_ms: 10_000 })],
    ['a tenth of a small disk', look({}, { disk: { free_bytes: GIB, size_bytes: 10 * GIB } })],
    ['2 GiB of a large disk', look({}, { disk: { free_bytes: 2 * GIB, size_bytes: 1_000 * GIB } })],
  ])('has nothing against %s', (_what, seen) => {
    expect(findRefusals(seen)).toEqual([]);
  });

  it.each<[string, Look, string]>([
    ['memory', look({ used_memory_bytes: 751, max_memory_bytes: 1_000 }), 'Raise maxmemory'],
    ['went_back', look({}, { went_back: 'It has gone back.' }), 'gone back'],
    ['persistence', look({ append_failed: true }), 'append-only file'],
    ['persistence', look({ snapshot_failed: true }), 'snapshot'],
    ['eviction_policy', look({ eviction_policy: 'volatile-lru' }), 'config set maxmemory-policy noeviction'],
    ['outbox', look({}, { outbox_age_ms: 10_001 }), 'waited 10 s'],
    ['disk', look({}, { disk: { free_bytes: GIB, size_bytes: 11 * GIB } }), '1024 MiB of 11264 MiB'],
  ])('names %s and what to do', (reason, seen, words) => {
    const [refusal] = findRefusals(seen);
    expect([refusal?.reason, findRefusals(seen).length]).toEqual([reason, 1]);
    expect(refusal?.message).toContain(words);
  });

  it('names everything at once', () => {
    const all = look(
      { eviction_policy: 'allkeys-lru', used_memory_bytes: 9, max_memory_bytes: 9, append_failed: true },
      { went_back: 'Back.', outbox_age_ms: 60_000, disk: { free_bytes: 0, size_bytes: GIB } },
    );
    expect(reasons(all)).toEqual(['went_back', 'eviction_policy', 'memory', 'persistence', 'disk', 'outbox']);
  });
});

describe('readDisk', () => {
  it('reads the file system of a folder, and nothing where there is none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-disk-'));
    const disk = await readDisk(folder);
    rmSync(folder, { recursive: true });
    expect(disk?.size_bytes).toBeGreaterThan(0);
    expect(disk?.free_bytes).toBeLessThanOrEqual(disk?.size_bytes ?? 0);
    expect(await readDisk(folder)).toBeUndefined();
    expect(await readDisk(undefined)).toBeUndefined();
  });
});
