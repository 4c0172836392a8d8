import { Readable } from 'node:stream';
import { type ArtifactFile, createPackReader, type TakeFile } from '@berth/store';
import type { Context } from 'hono';
import type { Chunks, Streams } from '../byte-stream.js';
import { toDisposition } from '../http-range.js';
import { closeOnAbort, DOWNLOAD_HEADERS, readPack } from './answer-file.js';
import type { FoundArtifacts } from './artifact-reader.js';

interface ArchiveParts {
  /** What the client is to call it. */
  filename: string;
  type: string;
  toArchive: (files: ArtifactFile[], take: TakeFile) => Chunks;
  streams: Streams;
}

/** Answers with all files as one archive, which is made while it is sent. */
export const answerArchive = async (
  c: Context,
  { listing: { packed }, open }: FoundArtifacts,
  { filename, type, toArchive, streams }: ArchiveParts,
): Promise<Response> => {
  const headers = { ...DOWNLOAD_HEADERS, 'content-type': type, 'content-disposition': toDisposition(filename) };
  if (c.req.method === 'HEAD') return new Response(null, { headers });
  const pack = packed.some(({ bytes }) => bytes > 0) ? await open() : Readable.from([]);
  const start = (signal: AbortSignal) =>
    readPack(pack, toArchive(packed, createPackReader(closeOnAbort(pack, signal))));
  return streams.answer(c, type, start, { headers });
};
