import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';

/**
 * What the workers of a machine leave behind for its reaper: whether, and until when, nobody else may run what runs here. A worker
 * that is cut off from the broker pauses its own containers in time; one that is dead, stopped or stuck cannot, and this file is
 * what shows it. It needs no broker, and it outlives whoever wrote it.
 *
 * One file for each installation, written by all its workers on this machine, the last one wins: it says that *some* worker here
 * renews, and that one adopts what its neighbours leave. A run folder belongs to one engine; the file names it, so that another
 * engine's reaper does not go by it.
 *
 * Order. A lease is counted from the moment *before* its renewal was sent: it began no earlier, so what the file says never outlasts
 * it. The file is written first, and only then may a worker unpause. When it was written is kept as the file's own mtime, beside which
 * the reaper measures with a clock of its own that nobody sets, for the case that the wall clock is set back.
 */
export interface MachineLease {
  installation: string;
  /** The engine's id. */
  engine: string;
  /** Others may run this machine's jobs once the lease has ended: what runs here then has to stand still. */
  exclusive: boolean;
  /** Unix ms. */
  renewed_at: number;
  /** For how long it is good from then on. */
  lease_ms: number;
}

const schema = z.object({
  engine: z.string(),
  exclusive: z.boolean(),
  lease_ms: z.number().positive(),
});

const toPath = (dir: string, installation: string): string => join(dir, `${encodeURIComponent(installation)}.lease`);

/** The folder must exist. Whoever reads sees the old file or the new one, never a part. Rejects with the system's error. */
export const writeLeaseFile = async (dir: string, lease: MachineLease): Promise<void> => {
  const { installation, engine, exclusive, renewed_at, lease_ms } = lease;
  const path = toPath(dir, installation);
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = await open(draft, 'wx', 0o644);
    try {
      await file.writeFile(JSON.stringify({ engine, exclusive, renewed_at, lease_ms }));
      await file.utimes(renewed_at / 1000, renewed_at / 1000);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
};

/**
 * Notes that from now on the machine's leases are good for so many ms. Never throws; may be called at any pace: of what comes while
 * a file is being written only the last is written after it. A process that ends by itself writes it still.
 */
export type NoteLease = (good_for_ms: number, exclusive: boolean) => void;

export const createLeaseNote = (
  dir: string,
  whose: Pick<MachineLease, 'installation' | 'engine'>,
  log: Logger,
): NoteLease => {
  let wanted: MachineLease | undefined;
  let writing = false;
  let failing = false;

  const writeAll = async (): Promise<void> => {
    writing = true;
    for (let lease = wanted; lease !== undefined; lease = wanted) {
      wanted = undefined;
      try {
        await writeLeaseFile(dir, lease);
        failing = false;
      } catch (err) {
        if (!failing)
          log.error({ err }, 'cannot write the lease file in BERTH_RUN_DIR; the reaper may pause our containers');
        failing = true;
      }
    }
    writing = false;
  };
  return (lease_ms, exclusive) => {
    wanted = { ...whose, exclusive, renewed_at: Date.now(), lease_ms };
    if (!writing) void writeAll();
  };
};

/** Undefined where no worker has written one, or what is there is none. Rejects where it cannot be read. */
export const readLeaseFile = async (dir: string, installation: string): Promise<MachineLease | undefined> => {
  const path = toPath(dir, installation);
  try {
    const renewed_at = Math.round((await stat(path)).mtimeMs);
    const parsed = schema.safeParse(toJson(await readFile(path, 'utf8')));
    return parsed.success ? { installation, renewed_at, ...parsed.data } : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
};

const toJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** A label may hold more than a file's name can. */
const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENAMETOOLONG');
