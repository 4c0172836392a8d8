const SHOWN = 100;

interface RemovalCount {
  count: number;
  bytes: number;
  /** The first of them. */
  ids: string[];
}

/** By what it is and why it goes: `artifacts_expired`. */
export type RemovalCounts = Record<string, RemovalCount>;

export const countRemoval = (
  counts: RemovalCounts,
  name: string,
  { id, bytes }: { id: string; bytes: number },
): void => {
  counts[name] ??= { count: 0, bytes: 0, ids: [] };
  const counted = counts[name];
  counted.count += 1;
  counted.bytes += bytes;
  if (counted.ids.length < SHOWN) counted.ids.push(id);
};
