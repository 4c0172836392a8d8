import { expect, it } from 'vitest';
import { toLaterUsage, type Usage } from './usage.js';

const toUsage = (fields: Partial<Usage>): Usage => ({
  at: 1,
  cpu_seconds: null,
  memory_peak_bytes: null,
  network_rx_bytes: null,
  network_tx_bytes: null,
  block_read_bytes: null,
  block_write_bytes: null,
  ...fields,
});

it('never counts less than was seen before, and keeps what only one look could see', () => {
  const before = toUsage({ at: 1, memory_peak_bytes: 500, cpu_seconds: 1, network_rx_bytes: 0 });
  const now = toUsage({ at: 2, memory_peak_bytes: 300, cpu_seconds: 2, block_read_bytes: 7 });
  expect(toLaterUsage(before, now)).toEqual(
    toUsage({ at: 2, memory_peak_bytes: 500, cpu_seconds: 2, network_rx_bytes: 0, block_read_bytes: 7 }),
  );
  expect(toLaterUsage(undefined, now)).toBe(now);
});
