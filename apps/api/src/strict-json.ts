import { isUtf8 } from 'node:buffer';
import { AppError, isTooDeep, MAX_JSON_DEPTH, type Problem } from '@berth/domain';

const MAX_PROBLEMS = 20;
const FORBIDDEN_NAMES = new Set(['__proto__', 'constructor', 'prototype']);
const FORBIDDEN = Symbol('forbidden');
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

const refuse = (message: string): AppError => new AppError('invalid_request', message);

interface Search {
  problems: Problem[];
  path: (string | number)[];
  /** Only an escape can put a NUL or half a character into a string: without one there is nothing to look for. */
  hasEscapes: boolean;
}

const report = ({ problems, path }: Search, message: string): void => {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step.slice(0, 128)}`));
  if (problems.length < MAX_PROBLEMS) problems.push({ path: `$${steps.join('')}`, message });
};

const checkText = (text: string, search: Search): void => {
  if (!search.hasEscapes) return;
  if (text.includes('\0')) report(search, 'must not contain a NUL character');
  else if (LONE_SURROGATE.test(text)) report(search, 'must be valid Unicode');
};

/** What JSON can carry and nothing of ours should: it is named with its path, whatever the schema says of the field. */
const check = (value: unknown, search: Search): void => {
  if (typeof value === 'string') checkText(value, search);
  else if (typeof value === 'number' && !Number.isFinite(value)) report(search, 'is too large a number');
  else if (Array.isArray(value)) for (let i = 0; i < value.length; i++) checkMember(i, value[i], search);
  else if (value !== null && typeof value === 'object') checkMembers(value as Record<string, unknown>, search);
};

const checkMembers = (value: Record<string, unknown>, search: Search): void => {
  for (const key of Object.keys(value)) {
    checkText(key, search);
    checkMember(key, FORBIDDEN_NAMES.has(key) ? FORBIDDEN : value[key], search);
  }
};

const checkMember = (step: string | number, value: unknown, search: Search): void => {
  search.path.push(step);
  if (value === FORBIDDEN) report(search, 'is not allowed as a name');
  else check(value, search);
  search.path.pop();
};

const decode = (bytes: Uint8Array): string => {
  if (bytes.length === 0) throw refuse('The body is empty. Send a JSON object.');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    throw refuse('The body begins with a byte order mark. Send UTF-8 without one.');
  if (!isUtf8(bytes)) throw refuse('The body is not valid UTF-8.');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
};

/**
 * Parses a JSON document from the outside. Of a name that stands twice in an object the last value holds, as everywhere in
 * JavaScript. Throws AppError `invalid_request`, never echoing a value.
 */
export const parseStrictJson = (bytes: Uint8Array): unknown => {
  const text = decode(bytes);
  if (isTooDeep(bytes)) throw refuse(`The body is nested more than ${MAX_JSON_DEPTH} levels deep.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('The body is not valid JSON.');
  }
  const search: Search = { problems: [], path: [], hasEscapes: text.includes('\\u') };
  check(value, search);
  const { problems } = search;
  if (problems.length > 0) throw new AppError('invalid_request', 'The body is not valid.', { problems });
  return value;
};
