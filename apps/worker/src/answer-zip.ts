import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { createPackReader, FileMissing, type FileStore, type OutputNames, readListing, toZip } from '@berth/store';

/** A client that takes nothing for so long, though something waits for it, is let go. */
const STALLED_MS = 60_000;

const HEADERS = { 'content-type': 'application/zip', 'content-disposition': 'attachment; filename="output.zip"' };

const orMissing = (error: unknown): undefined => {
  if (error instanceof FileMissing) return undefined;
  throw error;
};

/** The pack goes with the answer, however that ends: read to its end, given up by its client, or never begun. */
const closeWith = (pack: Readable, outgoing: ServerResponse): Readable => {
  const close = () => pack.destroy(new Error('nobody takes it any more'));
  pack.on('error', () => undefined);
  if (outgoing.closed) close();
  else outgoing.once('close', close);
  return pack;
};

const letGoWhenStalled = (outgoing: ServerResponse): void => {
  outgoing.setTimeout(STALLED_MS, () => {
    if (outgoing.socket && outgoing.socket.writableLength > 0) outgoing.socket.resetAndDestroy();
  });
};

/** Answers with the files of a pack as a zip, made while it is sent. Undefined where they are gone. */
export const answerZip = async (
  files: FileStore,
  { pack: name, manifest }: OutputNames,
  { method, outgoing }: { method: string; outgoing: ServerResponse },
): Promise<Response | undefined> => {
  if (method === 'HEAD') return (await files.stat(manifest)) && new Response(null, { headers: HEADERS });
  const listing = await readListing(files, manifest).catch(orMissing);
  if (!listing) return undefined;
  const { packed } = listing;
  const pack = packed.some(({ bytes }) => bytes > 0) ? await files.read(name).catch(orMissing) : Readable.from([]);
  if (!pack) return undefined;
  const zip = toZip(packed, createPackReader(closeWith(pack, outgoing)));
  letGoWhenStalled(outgoing);
  return new Response(Readable.toWeb(Readable.from(zip, { objectMode: false })) as ReadableStream, {
    headers: HEADERS,
  });
};
