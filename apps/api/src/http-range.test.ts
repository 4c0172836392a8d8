import { expect, it } from 'vitest';
import { allowsRange, isKnown, parseRange, toDisposition } from './http-range.js';

it.each([
  ['bytes=0-0', { start: 0, end: 1 }],
  ['bytes=2-5', { start: 2, end: 6 }],
  ['bytes=2-', { start: 2, end: 10 }],
  ['bytes=2-99999999999999999999999', { start: 2, end: 10 }],
  ['bytes=-3', { start: 7, end: 10 }],
  ['bytes=-30', { start: 0, end: 10 }],
  [' bytes=9-9 ', { start: 9, end: 10 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=10-', 'unsatisfiable'],
  [`bytes=${'9'.repeat(400)}-`, 'unsatisfiable'],
  ['bytes=5-2', undefined],
  ['bytes=0-1,4-5', undefined],
  ['bytes=-', undefined],
  ['bytes=a-b', undefined],
  ['lines=0-1', undefined],
  [undefined, undefined],
])('%s of 10 bytes', (header, slice) => {
  expect(parseRange(header, 10)).toEqual(slice);
});

it('nothing of nothing can be asked for', () => {
  expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable');
  expect(parseRange('bytes=-5', 0)).toBe('unsatisfiable');
});

it('a tag is found in a list, weak or not', () => {
  for (const header of ['"a"', 'W/"a"', '"b", "a"', '*']) expect(isKnown(header, '"a"')).toBe(true);
  for (const header of [undefined, '', '"b"', 'a']) expect(isKnown(header, '"a"')).toBe(false);
  expect([undefined, '"a"', '"b"', 'W/"a"'].map((header) => allowsRange(header, '"a"'))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

it('a name goes out in two ways, neither of which can end the header', () => {
  expect(toDisposition('a b.csv')).toBe(`attachment; filename="a b.csv"; filename*=UTF-8''a%20b.csv`);
  expect(toDisposition('"é\r\n*.txt')).toBe(
    `attachment; filename="_____.txt"; filename*=UTF-8''%22%C3%A9%0D%0A%2A.txt`,
  );
});
