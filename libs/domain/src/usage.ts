/** What a container has used since its start, as it was seen at a time. Null: nobody could look, or the kernel does not keep it. */
export interface Usage {
  /** Unix milliseconds by the worker's clock. */
  at: number;
  cpu_seconds: number | null;
  memory_peak_bytes: number | null;
  network_rx_bytes: number | null;
  network_tx_bytes: number | null;
  block_read_bytes: number | null;
  block_write_bytes: number | null;
}

const COUNTED = [
  'cpu_seconds',
  'memory_peak_bytes',
  'network_rx_bytes',
  'network_tx_bytes',
  'block_read_bytes',
  'block_write_bytes',
] as const;

/** Of two looks at one container: nothing that was counted is ever less later, and what one look could not see the other may have. */
export const toLaterUsage = (before: Usage | undefined, now: Usage): Usage => {
  if (before === undefined) return now;
  const merged = { ...now };
  for (const name of COUNTED) {
    const values = [before[name], now[name]].filter((value) => value !== null);
    merged[name] = values.length === 0 ? null : Math.max(...values);
  }
  return merged;
};
