import type { Usage } from '@berth/domain';
import type Docker from 'dockerode';
import { createCgroupUsage, type UsagePlaces } from './cgroup-usage.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { isRecord } from './json-lines.js';

export type ReadUsage = (container: Docker.Container) => Promise<Usage | undefined>;

const HERE: UsagePlaces = { cgroups: '/sys/fs/cgroup', proc: '/proc' };

/** From the kernel where it can be seen from here, else from the engine, which costs it some milliseconds each time. Never rejects. */
export const createReadUsage = (places: UsagePlaces = HERE): ReadUsage => {
  const readCgroup = createCgroupUsage(places);
  let isVisible = false;
  return async (container) => {
    const seen = await readCgroup(container.id);
    if (seen !== undefined) isVisible = true;
    return seen ?? (isVisible ? undefined : askEngine(container).catch(() => undefined));
  };
};

const ONE_LOOK = { stream: false, 'one-shot': true };

const askEngine = async (container: Docker.Container): Promise<Usage | undefined> => {
  const ask = container.stats.bind(container) as (options: object) => Promise<unknown>;
  return parseStats(await callWithin(DEADLINES.read, (abortSignal) => ask({ ...ONE_LOOK, abortSignal })));
};

const toRecord = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
const toNumber = (value: unknown): number | null => (typeof value === 'number' ? value : null);

/** The engine answers for a container that has ended too, with nothing in it. */
export const parseStats = (stats: unknown): Usage | undefined => {
  const { cpu_stats, memory_stats, networks, blkio_stats } = toRecord(stats);
  const cpu = toNumber(toRecord(toRecord(cpu_stats).cpu_usage).total_usage);
  const memory = toRecord(memory_stats);
  const used = toNumber(memory.max_usage) ?? toNumber(memory.usage);
  if (cpu === null || used === null) return undefined;
  const links = Object.values(toRecord(networks)).map(toRecord);
  const blocks = toRecord(blkio_stats).io_service_bytes_recursive;
  const transfers = Array.isArray(blocks) ? blocks.map(toRecord) : [];
  const add = (all: number, value: unknown) => all + (toNumber(value) ?? 0);
  const moved = (way: string) =>
    transfers.filter(({ op }) => String(op).toLowerCase() === way).reduce((all, { value }) => add(all, value), 0);
  return {
    at: Date.now(),
    cpu_seconds: Math.round(cpu / 1e6) / 1e3,
    memory_peak_bytes: used,
    network_rx_bytes: links.reduce((all, { rx_bytes }) => add(all, rx_bytes), 0),
    network_tx_bytes: links.reduce((all, { tx_bytes }) => add(all, tx_bytes), 0),
    block_read_bytes: moved('read'),
    block_write_bytes: moved('write'),
  };
};
