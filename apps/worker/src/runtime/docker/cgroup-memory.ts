import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface CgroupMemory {
  /** Processes of it that the kernel has killed for want of memory, of any limit. */
  oom_kills: number;
  /** The most that was ever in use, in bytes, or what is in use now where the kernel does not keep the former. */
  used_bytes: number;
}

interface Layout {
  toFolder(id: string): string;
  events: string;
  /** The first that is there counts. */
  used: string[];
}

const V1 = { events: 'memory.oom_control', used: ['memory.max_usage_in_bytes'] };
/** `memory.peak` came with Linux 5.19. */
const V2 = { events: 'memory.events', used: ['memory.peak', 'memory.current'] };

const toScope = (id: string): string => `docker-${id}.scope`;

/** Where an engine puts its containers: by either cgroup driver, in either version, and without root. */
const LAYOUTS: Layout[] = [
  { ...V1, toFolder: (id) => join('memory', 'docker', id) },
  { ...V1, toFolder: (id) => join('memory', 'system.slice', toScope(id)) },
  { ...V2, toFolder: (id) => join('system.slice', toScope(id)) },
  { ...V2, toFolder: (id) => join('docker', id) },
  { ...V2, toFolder: (id) => join(toUserSlice(process.getuid?.() ?? 0), toScope(id)) },
];

const toUserSlice = (uid: number): string =>
  join('user.slice', `user-${uid}.slice`, `user@${uid}.service`, 'user.slice');

/**
 * Reads a running container's memory where its cgroup can be seen below `mount`. Undefined where it cannot: the container is
 * over, or the worker lives in a container itself, or the engine on another machine.
 */
export const createCgroupMemory = (mount: string): ((id: string) => Promise<CgroupMemory | undefined>) => {
  let found: Layout | undefined;
  return async (id) => {
    for (const layout of found === undefined ? LAYOUTS : [found]) {
      const memory = await readAt(join(mount, layout.toFolder(id)), layout);
      if (memory === undefined) continue;
      found = layout;
      return memory;
    }
    return undefined;
  };
};

const readAt = async (folder: string, layout: Layout): Promise<CgroupMemory | undefined> => {
  const events = await readText(join(folder, layout.events));
  const oom_kills = Number(/^oom_kill (\d+)$/m.exec(events ?? '')?.[1]);
  if (Number.isNaN(oom_kills)) return undefined;
  for (const name of layout.used) {
    const text = await readText(join(folder, name));
    if (text !== undefined) return { oom_kills, used_bytes: Number(text) };
  }
  return { oom_kills, used_bytes: 0 };
};

const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
