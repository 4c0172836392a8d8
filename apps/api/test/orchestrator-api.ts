import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_CLASSES } from '@berth/domain';
import { type FileStore, openLocalFiles, openRedis } from '@berth/store';
import type { Redis } from 'ioredis';
import { createApp } from '../src/app.js';
import type { ApiConfig } from '../src/config.js';
import type { ContextOverrides } from '../src/context.js';
import { openServer } from '../src/server.js';
import { parseServices } from '../src/service-config.js';
import { type Download, download } from './download.js';
import { collect, openTestApi, type TestApi } from './open-test-api.js';

/** A part of a form: a field of text, or a file with its name. */
export type Part = [name: string, value: string] | [name: string, filename: string, bytes: string | Buffer];

const BOUNDARY = '----berth';

const toPart = ([name, value, bytes]: Part): Buffer[] => {
  const file = bytes === undefined ? '' : `; filename="${value}"\r\ncontent-type: application/octet-stream`;
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${file}\r\n\r\n`;
  return [Buffer.from(head), Buffer.from(bytes ?? value), Buffer.from('\r\n')];
};

export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
export const toForm = (parts: Part[]): Buffer =>
  Buffer.concat([...parts.flatMap(toPart), Buffer.from(`--${BOUNDARY}--\r\n`)]);

export interface OrchestratorApi extends TestApi {
  files: FileStore;
  redis: Redis;
  filesPort: number;
  upload(parts: Part[], headers?: Record<string, string>): Promise<Download>;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Download>;
  /** Objects, entries of the index of uploads, and bytes that count against quotas: nothing of it is left by a refusal. */
  countLeft(): Promise<{ objects: number; entries: number; jobs: number }>;
}

const ENVIRONMENT = {
  SERVICE_EXAMPLE_MAX_RUNS: '6',
  SERVICE_BIG_TOOL_CLASS: 'medium',
  SERVICE_BIG_TOOL_IMAGE: 'tool:1',
};

/** An API with services, and a folder of files of its own. */
export const openOrchestratorApi = async (
  file: string,
  more: Partial<ApiConfig> = {},
  overrides: ContextOverrides = {},
): Promise<OrchestratorApi> => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-files-'));
  const services = parseServices(ENVIRONMENT, DEFAULT_CLASSES, []);
  const api = await openTestApi(file, { services, ...more }, overrides);
  const files = await openLocalFiles(folder);
  const app = createApp({ ...api.context, files });
  const server = await openServer({ fetch: app.fetch as never, host: '127.0.0.1', port: 0, maxConnections: 100 });
  const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  const get: OrchestratorApi['get'] = (path, headers = {}, method = 'GET') =>
    download(server.port, path, { headers, method });
  return {
    ...api,
    files,
    redis,
    filesPort: server.port,
    get,
    upload: (parts, headers = {}) =>
      download(server.port, '/upload', {
        method: 'POST',
        headers: { 'content-type': FORM_TYPE, ...headers },
        body: toForm(parts),
      }),
    async countLeft() {
      const count = async (items: AsyncIterable<unknown>): Promise<number> => (await collect(items)).length;
      const [objects, entries] = [await count(files.list('')), await count(api.store.uploads.listAll())];
      return { objects, entries, jobs: (await api.store.list.list({ format: 'orchestrator' }, 100)).jobs.length };
    },
    async close() {
      redis.disconnect();
      await server.close();
      await api.close();
      await files.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};
