import type { LogEntry } from '@berth/store';
import type { StoredLog } from './evidence.js';

/** Stdout between two notes, each of which says that something is missing there. */
const toStretches = (entries: LogEntry[]): Buffer[] => {
  const anew = entries.findLastIndex((entry) => entry.anew);
  const stretches: Buffer[][] = [[]];
  for (const entry of entries.slice(anew + 1)) {
    if (entry.stream === 'note') stretches.push([]);
    if (entry.stream === 'stdout') stretches.at(-1)?.push(entry.bytes);
  }
  return stretches.map((pieces) => Buffer.concat(pieces));
};

/**
 * I9: the stored log is a prefix of the true output. Where it goes on after a note, what follows stands further on in the true output. A
 * whole one without a note is all of it.
 */
export const checkLog = ({ job_id, entries, expected, whole }: StoredLog): string[] => {
  const stretches = toStretches(entries);
  let place = 0;
  for (const [i, stretch] of stretches.entries()) {
    const found = i === 0 ? 0 : expected.indexOf(stretch, place);
    if (found < 0 || !expected.subarray(found, found + stretch.length).equals(stretch)) {
      const wrong = stretch.findIndex((byte, at) => byte !== expected[Math.max(0, found) + at]);
      return [`${job_id} has stored bytes that it did not write there: byte ${wrong} of stretch ${i + 1} of its log`];
    }
    place = found + stretch.length;
  }
  if (whole && stretches.length === 1 && place < expected.length)
    return [`${job_id} has stored ${place} of ${expected.length} bytes, and nothing says that some are missing`];
  return [];
};
