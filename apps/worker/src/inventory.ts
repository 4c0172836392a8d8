import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { type Gpu, gpuSchema } from '@berth/domain';
import type { DiskSpace } from '@berth/store';
import type { Logger } from 'pino';
import { z } from 'zod';

const QUERY = ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader,nounits'];
/** The first call on a machine may wait for the driver to wake up. */
const QUERY_LIMIT_MS = 30_000;
const MIB = 1024 * 1024;

const gpusSchema = z
  .array(gpuSchema)
  .max(64)
  .refine((gpus) => new Set(gpus.map((gpu) => gpu.uuid)).size === gpus.length, 'must not name a GPU twice');

/** `value` is a JSON list of GPUs (index, uuid, name, memory_mb), or the path of a file that holds one. Throws an Error that says what is wrong. */
export const readGpuList = (value: string): Gpu[] => {
  const text = value.trim().startsWith('[') ? value : readFileSync(value, 'utf8');
  const parsed = gpusSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(', '));
};

const LINE = /^(\d+), (\S+), (.+), (\d+)$/;

/** What `nvidia-smi` printed, a GPU a line. Throws where any of it is not what was asked for: half an inventory would be a wrong one. */
export const parseGpuQuery = (output: string): Gpu[] => {
  const gpus = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [, index, uuid, name, memory_mb] = LINE.exec(line) ?? [];
      if (index === undefined) throw new Error(`nvidia-smi printed a line that is no GPU: ${line}`);
      return { index: Number(index), uuid, name, memory_mb: Number(memory_mb) };
    });
  return gpusSchema.parse(gpus);
};

const query = (program: string): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(program, QUERY, { timeout: QUERY_LIMIT_MS }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = `${stdout}${stderr}`.trim();
      reject(Object.assign(error, said === '' ? {} : { message: `${error.message.split('\n')[0]}: ${said}` }));
    });
  });

/** The GPUs of this machine by `nvidia-smi`; none where there is no such program, nor where it fails, which is said. */
export const findGpus = async (log: Pick<Logger, 'warn'>, program = 'nvidia-smi'): Promise<Gpu[]> => {
  try {
    return parseGpuQuery(await query(program));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return [];
    log.warn(
      { err },
      'nvidia-smi does not tell of the GPUs: this machine offers none. Mend it, then restart the worker',
    );
    return [];
  }
};

/** The file system that holds the folder. Null where it cannot be seen from here. */
export const readDiskSpace = async (folder: string | undefined): Promise<DiskSpace | null> => {
  if (folder === undefined) return null;
  const found = await statfs(folder).catch(() => null);
  if (found === null) return null;
  return {
    total_mb: Math.floor((found.blocks * found.bsize) / MIB),
    free_mb: Math.floor((found.bavail * found.bsize) / MIB),
  };
};

/** Whether an engine at this address runs on the machine that this process sees. */
export const isHere = (dockerHost: string | undefined): boolean =>
  dockerHost === undefined || dockerHost.startsWith('unix://') || dockerHost.startsWith('/');
