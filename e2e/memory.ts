import { readFileSync, writeFileSync } from 'node:fs';

/** Bytes that a process holds in memory, now or at the most since the mark was taken back. */
const readMemory = (pid: number, field: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;

/** By how many bytes a process's memory grew at the most while something was done. */
export const measureGrowth = async (pid: number | undefined, work: () => Promise<unknown>): Promise<number> => {
  if (pid === undefined) throw new Error('the process was not started');
  const before = readMemory(pid, 'VmRSS');
  // Takes back the highest mark so far.
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  await work();
  return readMemory(pid, 'VmHWM') - before;
};
