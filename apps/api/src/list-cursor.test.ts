import { describe, expect, it } from 'vitest';
import { parseCursor, toCursor } from './list-cursor.js';

const id = '01a203e8-f53f-7020-bbde-f6a317f77f74';

describe('a cursor', () => {
  it('comes back as the id that it was made of', () => {
    expect(parseCursor(toCursor(id))).toBe(id);
  });

  it.each([
    '',
    'x',
    id,
    Buffer.from(`2:${id}`).toString('base64url'),
    Buffer.from('1:nope').toString('base64url'),
    `${toCursor(id)}=`,
    ` ${toCursor(id)}`,
    Buffer.from(`1:${id}:more`).toString('base64url'),
  ])('is refused when forged: %j', (cursor) => {
    expect(() => parseCursor(cursor)).toThrow(/cursor/);
  });
});
