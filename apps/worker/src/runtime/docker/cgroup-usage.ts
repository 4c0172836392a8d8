import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Usage } from '@berth/domain';

const toScope = (id: string): string => `docker-${id}.scope`;

/** Where an engine puts its containers within a hierarchy, by either cgroup driver. */
const V1_PLACES = [(id: string) => join('docker', id), (id: string) => join('system.slice', toScope(id))];
const V2_PLACES = [
  (id: string) => join('system.slice', toScope(id)),
  (id: string) => join('docker', id),
  (id: string) => join(toUserSlice(process.getuid?.() ?? 0), toScope(id)),
];

const toUserSlice = (uid: number): string =>
  join('user.slice', `user-${uid}.slice`, `user@${uid}.service`, 'user.slice');

/** The files of one container, by what they tell. */
interface Files {
  cpu: string;
  /** The first that is there counts. */
  memory: string[];
  block: string[];
  processes: string;
}

const toV1Files = (mount: string, place: string): Files => ({
  cpu: join(mount, 'cpuacct', place, 'cpuacct.usage'),
  memory: [join(mount, 'memory', place, 'memory.max_usage_in_bytes')],
  block: ['blkio.throttle.io_service_bytes_recursive', 'blkio.throttle.io_service_bytes'].map((name) =>
    join(mount, 'blkio', place, name),
  ),
  processes: join(mount, 'memory', place, 'cgroup.procs'),
});

/** `memory.peak` came with Linux 5.19. */
const toV2Files = (mount: string, place: string): Files => ({
  cpu: join(mount, place, 'cpu.stat'),
  memory: ['memory.peak', 'memory.current'].map((name) => join(mount, place, name)),
  block: [join(mount, place, 'io.stat')],
  processes: join(mount, place, 'cgroup.procs'),
});

const LAYOUTS = [
  ...V1_PLACES.map((place) => (mount: string, id: string) => toV1Files(mount, place(id))),
  ...V2_PLACES.map((place) => (mount: string, id: string) => toV2Files(mount, place(id))),
];

export interface UsagePlaces {
  /** Where the kernel's control groups are mounted. */
  cgroups: string;
  proc: string;
}

/**
 * Reads what a running container has used where its cgroup can be seen: five small files, and no call to the engine. Undefined
 * where it cannot: the container is over, or the worker lives in a container itself, or the engine on another machine.
 */
export const createCgroupUsage = ({ cgroups, proc }: UsagePlaces): ((id: string) => Promise<Usage | undefined>) => {
  let found: (typeof LAYOUTS)[number] | undefined;
  return async (id) => {
    for (const layout of found === undefined ? LAYOUTS : [found]) {
      const usage = await readAt(layout(cgroups, id), proc);
      if (usage === undefined) continue;
      found = layout;
      return usage;
    }
    return undefined;
  };
};

const readAt = async (files: Files, proc: string): Promise<Usage | undefined> => {
  const cpu = await readText(files.cpu);
  if (cpu === undefined) return undefined;
  const [memory, block, network] = await Promise.all([
    readFirst(files.memory),
    readFirst(files.block),
    readNetwork(files.processes, proc),
  ]);
  return {
    at: Date.now(),
    cpu_seconds: parseCpu(cpu),
    memory_peak_bytes: memory === undefined ? null : Number(memory),
    ...parseBlock(block),
    ...network,
  };
};

/** v2 tells microseconds among other things, v1 nanoseconds and nothing else. */
const parseCpu = (text: string): number => {
  const usage_usec = /^usage_usec (\d+)$/m.exec(text)?.[1];
  const seconds = usage_usec === undefined ? Number(text) / 1e9 : Number(usage_usec) / 1e6;
  return Math.round(seconds * 1_000) / 1_000;
};

/** v2: `8:0 rbytes=1 wbytes=2 …`; v1: `8:0 Read 1`. Nothing was read or written where there is no line. */
const parseBlock = (text: string | undefined): Pick<Usage, 'block_read_bytes' | 'block_write_bytes'> => {
  if (text === undefined) return { block_read_bytes: null, block_write_bytes: null };
  return {
    block_read_bytes: sum(text, /(?:\brbytes=|^\d+:\d+ Read )(\d+)/gm),
    block_write_bytes: sum(text, /(?:\bwbytes=|^\d+:\d+ Write )(\d+)/gm),
  };
};

const sum = (text: string, pattern: RegExp): number =>
  [...text.matchAll(pattern)].reduce((all, [, value]) => all + Number(value), 0);

/** The network as any of its processes sees it. */
const readNetwork = async (
  processes: string,
  proc: string,
): Promise<Pick<Usage, 'network_rx_bytes' | 'network_tx_bytes'>> => {
  const pid = Number((await readText(processes))?.split('\n')[0] ?? 0);
  const text = pid > 0 ? await readText(join(proc, String(pid), 'net', 'dev')) : undefined;
  if (text === undefined) return { network_rx_bytes: null, network_tx_bytes: null };
  const rows = [...text.matchAll(/^ *([^:\s]+): *(.+)$/gm)].filter(([, name]) => name !== 'lo');
  const column = (at: number) => rows.reduce((all, [, , row = '']) => all + Number(row.trim().split(/ +/)[at] ?? 0), 0);
  return { network_rx_bytes: column(0), network_tx_bytes: column(8) };
};

const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

const readFirst = async (paths: string[]): Promise<string | undefined> => {
  for (const path of paths) {
    const text = await readText(path);
    if (text !== undefined) return text;
  }
  return undefined;
};
