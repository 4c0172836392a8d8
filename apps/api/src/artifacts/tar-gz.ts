import { once } from 'node:events';
import { pipeline } from 'node:stream';
import { createGzip } from 'node:zlib';
import { ARCHIVE_LEVEL, type ArtifactFile, type TakeFile } from '@berth/store';
import { pack as openTar, type Pack } from 'tar-stream';
import type { Chunks } from '../byte-stream.js';

/** What is later `tar-stream` writes as a number below zero, which makes the header malformed. */
const LAST_SECOND = 0x7fff_ffff;

/** Whoever reads the archive is told of it; of what stands behind it nobody is. */
const ignore = () => undefined;

const toMtime = ({ changed_at }: ArtifactFile): Date => new Date(Math.min(Math.max(changed_at, 0), LAST_SECOND) * 1000);

const add = async (tar: Pack, file: ArtifactFile, take: TakeFile): Promise<void> => {
  let finish = (_: Error | null | undefined): void => undefined;
  const finished = new Promise<void>((resolve, reject) => {
    finish = (error) => (error ? reject(error) : resolve());
  });
  finished.catch(ignore);
  const header = { name: file.path, size: file.bytes, mode: file.mode, mtime: toMtime(file) };
  const entry = tar.entry(header, (error) => finish(error)).on('error', ignore);
  for await (const piece of take(file)) if (!entry.write(piece)) await once(entry, 'drain');
  entry.end(null);
  await finished;
};

/** The same as tar.gz. */
export async function* toTarGz(files: ArtifactFile[], take: TakeFile): Chunks {
  const tar = openTar();
  const gzip = createGzip({ level: ARCHIVE_LEVEL });
  for (const stream of [tar, gzip]) stream.on('error', ignore);
  pipeline(tar, gzip, ignore);
  const fill = async (): Promise<void> => {
    for (const file of files) await add(tar, file, take);
    tar.finalize();
  };
  fill().catch((error) => gzip.destroy(error));
  try {
    yield* gzip;
  } finally {
    tar.destroy();
  }
}
