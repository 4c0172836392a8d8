import { describe, expect, it } from 'vitest';
import { isTooDeep, MAX_JSON_DEPTH } from './json-depth.js';

const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const nest = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

describe('isTooDeep', () => {
  it.each([
    ['as deep as may be', nest(MAX_JSON_DEPTH), false],
    ['one level more', nest(MAX_JSON_DEPTH + 1), true],
    ['objects that never end', '{"a":'.repeat(200_000), true],
    ['side by side', `[${Array(100).fill('{}').join()}]`, false],
    ['brackets in a string', JSON.stringify(`\\"${nest(100)}`), false],
    ['a string that never ends', `"${nest(100)}`, false],
  ])('%s', (_name, text, expected) => {
    expect(isTooDeep(toBytes(text))).toBe(expected);
  });
});
