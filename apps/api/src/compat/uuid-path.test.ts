import { describe, expect, it } from 'vitest';
import type { KeptFormatError } from './fastapi-errors.js';
import { parseUuid, requireUuid } from './uuid-path.js';

const ID = '0198a3b2-0000-7000-8000-00000000abcd';

describe('parseUuid', () => {
  it.each([ID, ID.toUpperCase(), ID.replaceAll('-', ''), `{${ID}}`, `urn:uuid:${ID}`])('takes %s', (text) => {
    expect(parseUuid(text)).toBe(ID);
  });
  it.each(['', 'nope', ID.slice(1), `${ID}0`, `{${ID}`, '0198a3b2-00007000-8000-00000000abcd'])(
    'refuses %j',
    (text) => {
      expect(parseUuid(text)).toBeUndefined();
    },
  );
});

const refusalOf = (text: string): KeptFormatError => {
  try {
    requireUuid(text);
  } catch (error) {
    return error as KeptFormatError;
  }
  throw new Error(`${text} was taken`);
};

describe('requireUuid', () => {
  it.each([
    ['12', 'invalid length: expected length 32 for simple format, found 2'],
    ['1-2', 'invalid group count: expected 5, found 2'],
    ['abcx', 'invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `x` at 4'],
  ])('says what is wrong with %s', (input, error) => {
    const { status, detail } = refusalOf(input);
    expect(status).toBe(422);
    expect(detail).toEqual([
      {
        type: 'uuid_parsing',
        loc: ['path', 'job_id'],
        msg: `Input should be a valid UUID, ${error}`,
        input,
        ctx: { error },
      },
    ]);
  });
});
