import { AppError } from '@berth/domain';
import type { Context } from 'hono';
import { parseStrictJson } from './strict-json.js';

export const MAX_BODY_BYTES = 256 * 1024;
export const MAX_BATCH_BODY_BYTES = 16 * 1024 * 1024;

const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

const checkType = (c: Context): void => {
  const type = c.req.header('content-type');
  if (type !== 'application/json' && !JSON_TYPE.test(type ?? '')) {
    throw new AppError('unsupported_media_type', 'Send the body as Content-Type: application/json, in UTF-8.');
  }
  const encoding = c.req.header('content-encoding');
  if (encoding !== undefined && encoding !== 'identity') {
    throw new AppError('unsupported_media_type', 'Send the body without a Content-Encoding.');
  }
};

const tooLarge = (limit: number): AppError =>
  new AppError('body_too_large', `The body is larger than ${limit / 1024} KiB.`);

/** A body of unknown length, given up as soon as it is too long. */
const readChunks = async (body: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** The body as it came. Throws AppError with 400 or 413. */
export const readBytes = async (c: Context, limit: number): Promise<Uint8Array> => {
  const length = c.req.header('content-length');
  if (length !== undefined && Number(length) > limit) throw tooLarge(limit);
  try {
    if (length !== undefined) return new Uint8Array(await c.req.raw.arrayBuffer());
    return c.req.raw.body ? await readChunks(c.req.raw.body, limit) : new Uint8Array();
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('invalid_request', 'The body ended before its time.');
  }
};

/** The request's JSON body. Throws AppError with 400, 413 or 415. */
export const readJsonBody = async (c: Context, limit = MAX_BODY_BYTES): Promise<unknown> => {
  checkType(c);
  return parseStrictJson(await readBytes(c, limit));
};

/** For what has no options: whoever sends some expects something that will not happen. Throws AppError `invalid_request`. */
export const refuseBody = async (c: Context): Promise<void> => {
  const length = c.req.header('content-length');
  if ((length === undefined || length === '0') && c.req.header('transfer-encoding') === undefined) return;
  const body = await readJsonBody(c);
  if (typeof body === 'object' && body !== null && Object.keys(body).length === 0) return;
  throw new AppError('invalid_request', 'This takes no options. Send no body, or {}.');
};
