const SHOWN = 100;

interface Tally {
  count: number;
  bytes: number;
  /** The first of them. */
  ids: string[];
}

/** By what it is and why it goes: `artifacts_expired`. */
export type Tallies = Record<string, Tally>;

export const addToTally = (tallies: Tallies, name: string, { id, bytes }: { id: string; bytes: number }): void => {
  tallies[name] ??= { count: 0, bytes: 0, ids: [] };
  const tally = tallies[name];
  tally.count += 1;
  tally.bytes += bytes;
  if (tally.ids.length < SHOWN) tally.ids.push(id);
};
