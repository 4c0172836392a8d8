import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ArtifactManifest, ArtifactSummary, FileStore } from '@berth/store';
import type { Container } from '../runtime/container-runtime.js';
import { createCollection, type OutputLimits, packOutputs } from './pack-outputs.js';

const zip = promisify(gzip);

export interface Collecting {
  container: Pick<Container, 'copyOut'>;
  patterns: readonly string[];
  epoch: number;
  /** Under which names they are stored. */
  pack: string;
  manifest: string;
  /** Its container runs. */
  running: boolean;
}

/**
 * Takes a container's outputs into the store: first the pack, then the manifest that makes it readable. Twice is once, as the second replaces
 * the first. Throws FilesUnavailable, the runtime's faults, BadArchive where the engine's archive breaks off, and whatever the signal's end makes of it.
 */
export const collectOutputs = async (
  { container, patterns, epoch, pack, manifest, running }: Collecting,
  { files, limits, signal }: { files: Pick<FileStore, 'put'>; limits: OutputLimits; signal: AbortSignal },
): Promise<ArtifactSummary> => {
  const collection = createCollection(running);
  const open = (place: string) => container.copyOut(place, signal);
  await files.put(pack, packOutputs(patterns, open, collection, limits), { signal });
  const listed: ArtifactManifest = { files: collection.files };
  const bytes = await zip(JSON.stringify(listed));
  await files.put(manifest, toSource(bytes), { signal });
  const total = collection.files.reduce((sum, file) => sum + file.bytes, 0);
  return { epoch, files: collection.files.length, bytes: total, ...collection.notes.read() };
};

const toSource = async function* (bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
};
