import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createJsonLines } from './json-lines.js';

test('gives whole objects however the bytes are cut, and skips what is none', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ text: fc.string({ unit: 'grapheme' }) })),
      fc.integer({ min: 1, max: 9 }),
      (sent, size) => {
        const got: unknown[] = [];
        const push = createJsonLines((line) => got.push(line));
        const bytes = Buffer.from(`garbage\n\n${sent.map((line) => `${JSON.stringify(line)}\r\n`).join('')}[1]\n`);
        for (let at = 0; at < bytes.length; at += size) push(bytes.subarray(at, at + size));
        expect(got).toEqual(sent);
      },
    ),
  );
});
