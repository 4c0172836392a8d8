import { closeSync, constants, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** What the kernel has said of the processes that it killed for want of memory. */
export interface KernelLog {
  /** Takes in what has been said since the last time. Never rejects, and does nothing where the log may not be read. */
  read(): Promise<void>;
  oomKillsOf(id: string): { kills: number; last_ms: number | null };
  close(): void;
}

/** The longest record that the kernel gives out. */
const RECORD_BYTES = 8_192;
const RECORDS_PER_TURN = 256;
/** How many containers are remembered; the oldest are forgotten first. */
const MOST = 1_024;

/**
 * The kernel names the victim's cgroup before it kills, so at a container's end the line is there: no notice can come too late,
 * as the engine's does. It keeps the lines for whoever comes after, which serves a worker that takes over what another has started.
 * It says no more than ten such lines in five seconds, so what it does not say proves nothing.
 *
 * Each read gives one record, and an error where there is none: such a read waits for nothing, and one is enough where
 * nothing was said. The first time there are thousands, which are taken in turns.
 */
export const openKernelLog = (path: string): KernelLog => {
  const kills = createKillCounts();
  const buffer = Buffer.alloc(RECORD_BYTES);
  let log: number | null | undefined;
  let reading: Promise<void> | undefined;

  const readSome = (): boolean => {
    for (let records = 0; records < RECORDS_PER_TURN; records += 1) {
      const record = readRecord(log ?? -1, buffer);
      if (record === undefined) return false;
      kills.take(record);
    }
    return true;
  };
  const readAll = async () => {
    while (readSome()) await nextTurn();
  };

  return {
    read: async () => {
      if (log === undefined) log = openQuietly(path);
      if (log === null) return;
      reading ??= readAll().finally(() => {
        reading = undefined;
      });
      await reading;
    },
    oomKillsOf: kills.of,
    close: () => {
      if (typeof log === 'number') closeSync(log);
      log = null;
    },
  };
};

const openQuietly = (path: string): number | null => {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
};

/** Empty where the kernel has overwritten records before they were read; the next read goes on with the oldest that is left. */
const readRecord = (log: number, buffer: Buffer): string | undefined => {
  try {
    const bytes = readSync(log, buffer);
    return bytes === 0 ? undefined : buffer.toString('utf8', 0, bytes);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPIPE' ? '' : undefined;
  }
};

const createKillCounts = () => {
  const counts = new Map<string, { kills: number; last_ms: number | null }>();
  const of = (id: string) => counts.get(id) ?? { kills: 0, last_ms: null };
  return {
    of,
    take: (record: string) => {
      for (const { ids, uptime_us } of record.split('\n').flatMap((line) => parseOomKill(line) ?? [])) {
        for (const id of ids) counts.set(id, { kills: of(id).kills + 1, last_ms: toUnixMs(uptime_us) });
        for (const [oldest] of [...counts].slice(0, -MOST)) counts.delete(oldest);
      }
    },
  };
};

/**
 * The ids of the containers in whose cgroup the victim lived. A record begins with its level and facility, a number and the
 * time; a facility other than the kernel's, 0, is somebody who only writes to its log.
 */
export const parseOomKill = (line: string): { ids: string[]; uptime_us: number } | undefined => {
  const [, level, time, rest] = /^(\d+),\d+,(\d+),[^;]*;oom-kill:constraint=(.*)/.exec(line) ?? [];
  if (level === undefined || Number(level) >= 8 || rest === undefined) return undefined;
  const victim = /,task_memcg=([^,]*)/.exec(rest)?.[1] ?? '';
  return { ids: [...new Set(victim.match(/\b[0-9a-f]{64}\b/g))], uptime_us: Number(time) };
};

/** The kernel counts from its start, and so does this process's clock, both without the time that the machine slept. */
const toUnixMs = (uptime_us: number): number =>
  Date.now() - Number(process.hrtime.bigint() / 1_000_000n) + uptime_us / 1_000;
