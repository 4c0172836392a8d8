import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { Redis } from 'ioredis';

export interface Machine {
  cpu: string;
  cores: number;
  memory_gb: number;
  kernel: string;
  node: string;
  redis: string;
  engine: string;
  storage_driver: string;
  load_before: number;
}

const findRedisVersion = async (redis: Redis): Promise<string> => {
  const info = await redis.info('server');
  return /(?:valkey|redis)_version:(\S+)/.exec(info)?.[0].trim() ?? 'unknown';
};

export const describeMachine = async (redis: Redis, docker: Docker): Promise<Machine> => {
  const engine = (await docker.info()) as { ServerVersion: string; Driver: string };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    redis: await findRedisVersion(redis),
    engine: `Docker ${engine.ServerVersion}`,
    storage_driver: engine.Driver,
    load_before: loadavg()[0] ?? 0,
  };
};

export const toMachineText = (m: Machine): string =>
  `${m.cores} × ${m.cpu}, ${m.memory_gb} GB, ${m.kernel}, Node ${m.node}, ${m.redis}, ${m.engine} on ${m.storage_driver}; ` +
  `load average before: ${m.load_before.toFixed(2)}`;

/** Linux counts CPU time in hundredths of a second for every program that asks (USER_HZ). */
const MS_PER_TICK = 10;

/** Of cgroup v1 in nanoseconds, else of v2 in microseconds. */
const readGroupCpu = (group: string): number => {
  const v1 = join(group, 'cpuacct.usage');
  if (existsSync(v1)) return Number(readFileSync(v1, 'utf8')) / 1e6;
  return Number(/^usage_usec (\d+)/m.exec(readFileSync(join(group, 'cpu.stat'), 'utf8'))?.[1]) / 1e3;
};

/** CPU time spent so far by the control group or, without one, by the whole machine, in milliseconds; NaN where nobody says. */
export const readCpu = (group: string | undefined): number => {
  if (group !== undefined) return readGroupCpu(group);
  try {
    const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number);
    return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0)) * MS_PER_TICK;
  } catch {
    return Number.NaN;
  }
};

const readStat = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');

/** CPU time of these processes so far, in milliseconds; NaN where the system does not say. */
export const readProcessCpu = (pids: readonly number[]): number => {
  try {
    return pids.reduce((sum, pid) => {
      const stat = readStat(pid);
      return sum + (Number(stat[11]) + Number(stat[12])) * MS_PER_TICK;
    }, 0);
  } catch {
    return Number.NaN;
  }
};

/** Resident memory of a process in MiB. */
export const readRss = (pid: number): number => {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
};
