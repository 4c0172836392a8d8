import type { RequestDetail } from '@berth/domain';
import { unprocessable } from './fastapi-errors.js';

const DASHED = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const BARE = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;

/** A UUID in any form that those services took: braces, `urn:uuid:`, capitals, no dashes. Undefined: it is none. */
export const parseUuid = (text: string): string | undefined => {
  const plain = text
    .toLowerCase()
    .replace(/^urn:uuid:/, '')
    .replace(/^\{(.*)\}$/, '$1');
  if (DASHED.test(plain)) return plain;
  return BARE.test(plain) ? plain.replace(BARE, '$1-$2-$3-$4-$5') : undefined;
};

const findFault = (text: string): string => {
  const at = text.search(/[^0-9a-f-]/i);
  if (at !== -1) {
    const found = [...text.slice(at)][0] ?? '';
    return `invalid character: expected an optional prefix of \`urn:uuid:\` followed by [0-9a-fA-F-], found \`${found}\` at ${at + 1}`;
  }
  const groups = text.split('-').length;
  if (groups > 1 && groups !== 5) return `invalid group count: expected 5, found ${groups}`;
  return `invalid length: expected length 32 for simple format, found ${text.replaceAll('-', '').length}`;
};

const toUuidDetail = (input: string): RequestDetail => {
  const error = findFault(input);
  return {
    type: 'uuid_parsing',
    loc: ['path', 'job_id'],
    msg: `Input should be a valid UUID, ${error}`,
    input,
    ctx: { error },
  };
};

/** Throws 422 for what is no UUID. */
export const requireUuid = (text: string): string => {
  const uuid = parseUuid(text);
  if (uuid === undefined) throw unprocessable([toUuidDetail(text)]);
  return uuid;
};
