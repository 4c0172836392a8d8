import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type StoredPiece, toStream } from './log-piece.js';
import { toSegment } from './log-segment.js';
import { packSegment, parseFrames, SegmentDamaged, toFrames, unpackSegment } from './segment-format.js';

const piece = fc.record({
  code: fc.constantFrom('o', 'e', 'n', 'a', 'x', 'l:12:0'),
  attempt: fc.integer({ min: 1, max: 99 }),
  at: fc.option(fc.integer({ min: 0, max: 2 ** 45 })),
  bytes: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
});
const pieces = fc
  .array(piece, { minLength: 1, maxLength: 20 })
  .map((all): StoredPiece[] => all.map((one, i) => ({ ...one, id: `7-${i + 1}` })));

it('any pieces come back as they were', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, async (all) => {
      expect(await unpackSegment(await packSegment(all))).toEqual(all);
    }),
    { numRuns: 200 },
  );
});

it('the index has the sums of each stream', () => {
  fc.assert(
    fc.property(pieces, (all) => {
      const { bytes, lines, ...segment } = toSegment('job', all, 5);
      for (const stream of ['stdout', 'stderr', 'note'] as const) {
        const text = Buffer.concat(all.filter(({ code }) => toStream(code) === stream).map((one) => one.bytes));
        expect([bytes[stream], lines[stream]]).toEqual([text.length, text.filter((byte) => byte === 10).length]);
      }
      expect(segment).toMatchObject({ first: '7-1', last: `7-${all.length}`, object: `logs/job/7-1-${all.length}.gz` });
      expect(segment.complete).toBe(all.some(({ code }) => code === 'x'));
      expect(segment.lost.stdout).toBe(12 * all.filter(({ code }) => code === 'l:12:0').length);
    }),
  );
});

it('a part of a segment, another version, and what is none are told from segments', async () => {
  const all: StoredPiece[] = [{ id: '1-1', code: 'o', attempt: 1, at: 5, bytes: Buffer.from('hello') }];
  const frames = toFrames(all);
  for (let end = 2; end < frames.length; end += 1) {
    expect(() => parseFrames(frames.subarray(0, end))).toThrow(SegmentDamaged);
  }
  expect(() => parseFrames(Buffer.concat([Buffer.of(9), frames.subarray(1)]))).toThrow(SegmentDamaged);
  await expect(unpackSegment(Buffer.from('text'))).rejects.toThrow(SegmentDamaged);
  const packed = await packSegment(all);
  await expect(unpackSegment(packed.subarray(0, packed.length - 1))).rejects.toThrow(SegmentDamaged);
});
