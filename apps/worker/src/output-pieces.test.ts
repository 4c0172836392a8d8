import { describe, expect, it } from 'vitest';
import { countUnfinished } from './output-pieces.js';

describe('countUnfinished', () => {
  it.each([
    ['', 0],
    ['61', 0],
    ['c3', 1],
    ['c3a9', 0],
    ['e282', 2],
    ['e282ac', 0],
    ['f09f98', 3],
    ['f09f9880', 0],
    ['80808080', 0],
    ['ff', 1],
  ])('%s: %i', (hex, count) => {
    expect(countUnfinished(Buffer.from(hex, 'hex'))).toBe(count);
  });
});
