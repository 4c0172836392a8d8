import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MachineUse } from '@berth/store';

/** Of the kernel's counters, in ticks of all CPUs together. */
interface CpuTicks {
  cpus: number;
  busy: number;
  all: number;
}

const parseCpuTicks = (stat: string): CpuTicks | null => {
  const total = /^cpu +(.+)$/m.exec(stat)?.[1];
  if (total === undefined) return null;
  // user nice system idle iowait irq softirq steal; what guests used is in the first two already.
  const ticks = total.split(' ').slice(0, 8).map(Number);
  const all = ticks.reduce((sum, one) => sum + one, 0);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { cpus: stat.match(/^cpu\d+ /gm)?.length ?? 0, busy: all - idle, all };
};

const parseMemory = (meminfo: string): { total_mb: number; used_mb: number } | null => {
  const read = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? Number.NaN) / 1024;
  const total = read('MemTotal');
  const used = total - read('MemAvailable');
  return Number.isNaN(used) ? null : { total_mb: Math.floor(total), used_mb: Math.round(used) };
};

const toBusyCpus = (before: CpuTicks, now: CpuTicks): number =>
  Math.round(((now.busy - before.busy) / (now.all - before.all)) * now.cpus * 100) / 100;

/** Counted in fewer ticks than these, of a hundredth of a second mostly, a use would be a matter of chance. */
const FEW_TICKS = 10;

/**
 * CPUs and memory in use on the machine, by anyone, since the call before. Null on the first call, and wherever the kernel that this
 * process sees is not the engine's: an engine in a virtual machine, or at the other end of a forwarded socket, has other CPUs or memory.
 */
export const createMachineUse = (engine: { cpus: number; memory_mb: number }, proc = '/proc') => {
  let before: CpuTicks | undefined;
  let cpus: number | null = null;
  return async (): Promise<MachineUse | null> => {
    const read = (name: string) => readFile(join(proc, name), 'utf8').catch(() => '');
    const [stat, meminfo] = await Promise.all([read('stat'), read('meminfo')]);
    const now = parseCpuTicks(stat);
    const memory = parseMemory(meminfo);
    if (now === null || memory === null) return null;
    if (now.cpus !== engine.cpus || memory.total_mb !== engine.memory_mb) return null;
    if (before === undefined || now.all - before.all >= FEW_TICKS) {
      cpus = before === undefined ? null : toBusyCpus(before, now);
      before = now;
    }
    return cpus === null ? null : { cpus, memory_mb: memory.used_mb };
  };
};
