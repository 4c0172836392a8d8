import { AppError } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { parseStrictJson } from './strict-json.js';

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text));

const refusal = (bytes: Uint8Array): AppError => {
  try {
    parseStrictJson(bytes);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('expected a refusal');
};

describe('parseStrictJson', () => {
  it('parses what JSON.parse parses', () => {
    const value = { a: [1, -2.5, true, null, 'é"\\\u{1F600}'], b: { c: '[[[[' } };
    expect(parse(JSON.stringify(value))).toEqual(value);
  });

  it('lets the last of two equal names hold', () => {
    expect(parse('{"a":1,"a":2}')).toEqual({ a: 2 });
  });

  it.each([
    ['an empty body', ''],
    ['half a document', '{"a":'],
    ['a single quote', "{'a':1}"],
    ['a trailing comma', '[1,]'],
    ['a raw control character', '"a\u0001"'],
    ['5,000 levels', '['.repeat(5_000)],
    ['200,000 levels of objects', '{"a":'.repeat(200_000)],
    ['33 levels', `${'['.repeat(33)}${']'.repeat(33)}`],
  ])('refuses %s', (_, text) => {
    expect(refusal(Buffer.from(text)).code).toBe('invalid_request');
  });

  it('takes 32 levels, and brackets in strings for what they are', () => {
    expect(() => parse(`${'['.repeat(32)}${']'.repeat(32)}`)).not.toThrow();
    expect(() => parse(JSON.stringify({ a: '[{'.repeat(1_000), b: '\\"[[' }))).not.toThrow();
  });

  it('refuses a byte order mark and invalid UTF-8', () => {
    expect(refusal(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d])).message).toMatch(/byte order mark/);
    expect(refusal(Buffer.from([0x22, 0xff, 0x22])).message).toMatch(/UTF-8/);
    expect(refusal(Buffer.from('{"a":1}', 'utf16le')).code).toBe('invalid_request');
  });

  it.each([
    ['{"a":{"__proto__":{"x":1}}}', '$.a.__proto__'],
    ['{"__pr\\u006fto__":1}', '$.__proto__'],
    ['{"constructor":{"prototype":{}}}', '$.constructor'],
    ['{"a":["x\\u0000"]}', '$.a[0]'],
    ['{"a":"\\ud800"}', '$.a'],
    ['{"a":"\\udc00\\ud800"}', '$.a'],
    ['{"a":1e400}', '$.a'],
    ['{"a":-1e400}', '$.a'],
  ])('names what is wrong in %s', (text, path) => {
    expect(refusal(Buffer.from(text)).problems.map((problem) => problem.path)).toEqual([path]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('names every problem, and echoes no value', () => {
    const error = refusal(Buffer.from('{"a":"secret\\u0000","b":{"__proto__":"secret"}}'));
    expect(error.problems).toHaveLength(2);
    expect(JSON.stringify(error.problems) + error.message).not.toContain('secret');
  });
});
