import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTestApi, type Reply, type TestApi } from './open-test-api.js';

export const FILE_LIMIT = 300_000;
export const USER_QUOTA = 1_000_000;

export const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** An API whose files can be counted. */
export interface FileApi extends TestApi {
  put(bytes: string | Buffer, path?: string, headers?: Record<string, string>): Promise<Reply>;
  /** Objects of uploads, and what is on its way in. */
  findObjects(): Promise<number>;
}

export const openFileApi = async (file: string): Promise<FileApi> => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-uploads-'));
  const filesPlace = { kind: 'folder', folder } as const;
  const api = await openTestApi(file, { filesPlace, maxFileBytes: FILE_LIMIT, uploadQuotaBytes: USER_QUOTA });
  return {
    ...api,
    put: (bytes, path = '/v1/files', headers = {}) =>
      api.send('PUT', path, { body: bytes, headers: { 'content-type': 'text/plain', ...headers } }),
    async findObjects() {
      const kept = await readdir(join(folder, 'uploads')).catch(() => []);
      return kept.length + (await readdir(join(folder, '.incoming'))).length;
    },
    async close() {
      await api.close();
      await rm(folder, { recursive: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};
