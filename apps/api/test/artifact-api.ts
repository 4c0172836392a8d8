import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ArtifactSummary, type FileStore, objectNames, openLocalFiles, type Store } from '@berth/store';
import { createApp } from '../src/app.js';
import { openServer } from '../src/server.js';
import { openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';

export type Contents = Record<string, string | Buffer>;

export const toSha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** An API with a folder of files of its own. */
export interface ArtifactApi extends TestApi {
  files: FileStore;
  filesPort: number;
}

export const openArtifactApi = async (
  file: string,
  wrap: (files: FileStore) => FileStore = (files) => files,
): Promise<ArtifactApi> => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-files-'));
  const api = await openTestApi(file);
  const files = await openLocalFiles(folder);
  const app = createApp({ ...api.context, files: wrap(files) });
  const server = await openServer({ fetch: app.fetch as never, host: '127.0.0.1', port: 0, maxConnections: 100 });
  return {
    ...api,
    files,
    filesPort: server.port,
    async close() {
      await server.close();
      await api.close();
      await files.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Plays a worker: stores what a container has left, under two names. */
export const putPack = async (files: FileStore, names: { pack: string; manifest: string }, contents: Contents) => {
  let offset = 0;
  const pieces = Object.values(contents).map((content) => Buffer.from(content));
  const listed = Object.keys(contents).map((path, i) => {
    const bytes = pieces[i]?.length ?? 0;
    const file = { path, bytes, sha256: toSha256(pieces[i] ?? ''), offset, mode: 0o644, changed_at: 1_700_000_000 };
    offset += bytes;
    return file;
  });
  await files.put(names.pack, once(Buffer.concat(pieces)));
  await files.put(names.manifest, once(gzipSync(JSON.stringify({ files: listed }))));
  return { files: listed.length, bytes: offset };
};

/** Plays a worker: runs a pending job to its end, with artifacts. */
export const endWithArtifacts = async (
  { store, files }: { store: Store; files: FileStore },
  job_id: string,
  contents: Contents,
  more: Partial<ArtifactSummary> & { retried?: boolean } = {},
): Promise<ArtifactSummary> => {
  const { retried = false, ...extra } = more;
  const claim = await startJob(store, job_id);
  const kept = await putPack(files, objectNames.outputs(job_id, claim.epoch), contents);
  const artifacts = { epoch: claim.epoch, ...kept, refused: 0, notes: [], ...extra };
  const entry = { node: 'n', image_digest: 'sha256:abc', evidence: null, artifacts };
  await settleJob(store, claim, retried ? { type: 'retried', cause: 'exit_code', exit_code: 1, entry } : { entry });
  return artifacts;
};
