import type { Readable } from 'node:stream';
import { AppError } from '@berth/domain';
import type { ArtifactFile } from '@berth/store';
import type { Context } from 'hono';
import type { Chunks, Streams } from '../byte-stream.js';
import { toProblemResponse } from '../errors.js';
import { allowsRange, isKnown, parseRange, type Slice, toDisposition } from '../http-range.js';

const STOPPED = 'nobody takes it any more';

/** What a job wrote is shown by no browser as a page of ours. */
export const DOWNLOAD_HEADERS = {
  'content-security-policy': "sandbox; default-src 'none'",
  'x-content-type-options': 'nosniff',
};

/**
 * Chunks that are made of an open pack, which is closed with them. Whoever stops in the middle, client or server, makes an error of it: only
 * what is whole ends in good order.
 */
export async function* readPack(pack: Readable, chunks: Chunks): Chunks {
  try {
    yield* chunks;
  } finally {
    pack.destroy();
  }
}

/** Also where nobody has begun to read it. */
export const closeOnAbort = (pack: Readable, signal: AbortSignal): Readable => {
  const stop = () => pack.destroy(new Error(STOPPED));
  pack.on('error', () => undefined);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return pack;
};

/** Throws where there are not so many bytes. */
export async function* readExactly(object: Readable, bytes: number): Chunks {
  let left = bytes;
  for await (const chunk of object) {
    left -= (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  if (left > 0) throw new Error(`the object ends ${left} bytes too soon`);
  if (left < 0) throw new Error(`the object is ${-left} bytes longer than it was said to be`);
}

interface FileParts {
  streams: Streams;
  /** Of the pack. */
  open: (slice: Slice) => Promise<Readable>;
}

/** Answers with a file, a range of it, or that the client has it already. */
export const answerFile = async (c: Context, file: ArtifactFile, { streams, open }: FileParts): Promise<Response> => {
  const etag = `"${file.sha256}"`;
  const headers: Record<string, string> = {
    ...DOWNLOAD_HEADERS,
    etag,
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-cache',
  };
  if (isKnown(c.req.header('if-none-match'), etag)) return new Response(null, { status: 304, headers });
  const isHead = c.req.method === 'HEAD';
  const asked = !isHead && allowsRange(c.req.header('if-range'), etag) ? c.req.header('range') : undefined;
  const slice = parseRange(asked, file.bytes);
  if (slice === 'unsatisfiable') {
    const error = new AppError('range_not_satisfiable', `The file has ${file.bytes} bytes.`);
    return toProblemResponse(error, { 'content-range': `bytes */${file.bytes}` });
  }
  const { start, end } = slice ?? { start: 0, end: file.bytes };
  headers['content-type'] = 'application/octet-stream';
  headers['content-length'] = String(end - start);
  headers['content-disposition'] = toDisposition(file.path.slice(file.path.lastIndexOf('/') + 1));
  if (slice) headers['content-range'] = `bytes ${start}-${end - 1}/${file.bytes}`;
  const status = slice ? 206 : 200;
  if (isHead || start === end) return new Response(null, { status, headers });
  const pack = await open({ start: file.offset + start, end: file.offset + end });
  return streams.answer(
    c,
    'application/octet-stream',
    (signal) => readPack(pack, readExactly(closeOnAbort(pack, signal), end - start)),
    { status, headers },
  );
};
