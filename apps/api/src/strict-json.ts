import { isUtf8 } from 'node:buffer';
import { AppError, type Problem } from '@berth/domain';

/** Deeper than anything that a schema of ours takes, and far from what would overflow a stack. */
const MAX_DEPTH = 32;
const MAX_PROBLEMS = 20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const FORBIDDEN_NAMES = new Set(['__proto__', 'constructor', 'prototype']);
const FORBIDDEN = Symbol('forbidden');
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

const refuse = (message: string): AppError => new AppError('invalid_request', message);

const isOpening = (byte: number | undefined): boolean => byte === 0x7b || byte === 0x5b;
const isClosing = (byte: number | undefined): boolean => byte === 0x7d || byte === 0x5d;

/** The index of the quote that ends the string beginning at `start`, or the end of the text. */
const skipString = (text: Uint8Array, start: number): number => {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === BACKSLASH) i++;
    else if (text[i] === QUOTE) return i;
  }
  return text.length;
};

/** Looked at before parsing: a parser that descends 200,000 levels would take the process with it. */
const isTooDeep = (text: Uint8Array): boolean => {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (byte === QUOTE) i = skipString(text, i);
    else if (isOpening(byte)) depth++;
    else if (isClosing(byte)) depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
};

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
  if (isTooDeep(bytes)) throw refuse(`The body is nested more than ${MAX_DEPTH} levels deep.`);
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
