import { AppError } from '@berth/domain';
import { type FileStore, isObjectName, OBJECTS_PATH, type StoredObject } from '@berth/store';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { closeOnAbort, readExactly, readPack } from '../artifacts/answer-file.js';
import type { Chunks, Streams } from '../byte-stream.js';
import { toProblemResponse } from '../errors.js';
import { parseRange } from '../http-range.js';
import { readUpload } from '../upload-body.js';

interface ObjectRoutesOptions {
  files: FileStore;
  streams: Streams;
}

const toMissing = (): AppError => new AppError('not_found', 'There is no such object.');

const readName = (c: Context): string => {
  const name = c.req.path.slice(OBJECTS_PATH.length + 1);
  if (!isObjectName(name)) throw new AppError('invalid_request', 'This is not the name of an object.');
  return name;
};

const toHeaders = ({ bytes, changed_at }: StoredObject): Record<string, string> => ({
  'content-length': String(bytes),
  'last-modified': new Date(changed_at).toUTCString(),
});

async function* toLines(objects: AsyncIterable<StoredObject>): Chunks {
  let lines = '';
  for await (const object of objects) {
    lines += `${JSON.stringify(object)}\n`;
    if (lines.length < 16_384) continue;
    yield lines;
    lines = '';
  }
  if (lines !== '') yield lines;
}

/**
 * The store as workers of other machines see it (`http-files.ts` is the other end). Who asks has signed for it, as `auth.ts` has checked; no user
 * gets here, and the contract does not show it.
 */
export const addObjectRoutes = (app: OpenAPIHono, { files, streams }: ObjectRoutesOptions): void => {
  const read = async (c: Context): Promise<Response> => {
    const name = readName(c);
    const found = await files.stat(name);
    if (!found) throw toMissing();
    if (c.req.method === 'HEAD') return new Response(null, { headers: toHeaders(found) });
    const slice = parseRange(c.req.header('range'), found.bytes);
    if (slice === 'unsatisfiable') {
      return toProblemResponse(new AppError('range_not_satisfiable', `The object has ${found.bytes} bytes.`));
    }
    const { start, end } = slice ?? { start: 0, end: found.bytes };
    const headers = { ...toHeaders(found), 'content-length': String(end - start) };
    const status = slice ? 206 : 200;
    if (start === end) return new Response(null, { status, headers });
    const bytes = await files.read(name, { start, end });
    const answer = (signal: AbortSignal) => readPack(bytes, readExactly(closeOnAbort(bytes, signal), end - start));
    return streams.answer(c, 'application/octet-stream', answer, { status, headers });
  };

  app.get(OBJECTS_PATH, (c) =>
    streams.answer(c, 'application/x-ndjson', () => toLines(files.list(c.req.query('prefix') ?? ''))),
  );
  app.get(`${OBJECTS_PATH}/*`, read);
  app.put(`${OBJECTS_PATH}/*`, async (c) => c.json(await files.put(readName(c), readUpload(c, { paced: false })), 200));
  app.delete(`${OBJECTS_PATH}/*`, async (c) => {
    await files.remove(readName(c));
    return c.body(null, 204);
  });
};
