import { AppError, findJsonError, toInvalidJson, toNotAnObject } from '@berth/domain';
import type { Context } from 'hono';
import { MAX_BODY_BYTES, readBytes } from '../request-body.js';
import { parseStrictJson } from '../strict-json.js';
import { unprocessable } from './fastapi-errors.js';

const JSON_TYPE = /^application\/([a-z0-9.+-]+\+)?json[ \t]*(;|$)/i;

const findPosition = (text: string): number | undefined => {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return findJsonError(error);
  }
};

/**
 * The JSON body of a request of a kept format. A body that does not say that it is JSON is refused, as those services did: a web
 * page could otherwise submit jobs through its reader's browser. Throws KeptFormatError 422, or AppError.
 */
export const readKeptBody = async (c: Context): Promise<unknown> => {
  const bytes = await readBytes(c, MAX_BODY_BYTES);
  const text = Buffer.from(bytes).toString('utf8');
  if (!JSON_TYPE.test(c.req.header('content-type') ?? '')) throw unprocessable([toNotAnObject(text)]);
  try {
    return bytes.length === 0 ? null : parseStrictJson(bytes);
  } catch (error) {
    const position = error instanceof AppError && error.problems.length === 0 ? findPosition(text) : undefined;
    throw position === undefined ? error : unprocessable([toInvalidJson(position)]);
  }
};
