import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { OutputStream } from './container-runtime.js';
import { createCountedOutput, createSkip, NOTHING_READ, TAIL_BYTES } from './output-position.js';

const OUTPUT = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 31 + (i >> 7)) % 256));

/** The output in chunks of the given sizes, the last one as large as need be. */
const toChunks = (bytes: Buffer, sizes: number[]): Buffer[] => {
  let at = 0;
  const chunks = sizes.map((size) => {
    at += size;
    return bytes.subarray(at - size, at);
  });
  return [...chunks, bytes.subarray(at)];
};

const skipInto = (from: typeof NOTHING_READ) => {
  const seen: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  const onGap = vi.fn();
  const skip = createSkip(from, (stream, chunk) => seen[stream].push(chunk), onGap);
  return { skip, onGap, bytes: (stream: OutputStream) => Buffer.concat(seen[stream]) };
};

describe('a position', () => {
  it('any chunks before and after: what follows it is what comes next', () => {
    const sizes = fc.array(fc.nat(700), { maxLength: 12 });
    fc.assert(
      fc.property(sizes, sizes, fc.nat(OUTPUT.length), (before, after, cut) => {
        const counted = createCountedOutput(() => undefined);
        for (const chunk of toChunks(OUTPUT.subarray(0, cut), before)) counted.sink('stdout', chunk);
        const position = counted.positions();
        expect(position.stdout.bytes).toBe(cut);
        expect(position.stdout.tail.equals(OUTPUT.subarray(Math.max(0, cut - TAIL_BYTES), cut))).toBe(true);
        const { skip, onGap, bytes } = skipInto(position);
        for (const chunk of toChunks(OUTPUT, after)) {
          skip.sink('stdout', chunk);
          skip.sink('stderr', chunk);
        }
        skip.finish(() => false);
        expect(bytes('stdout').equals(OUTPUT.subarray(cut))).toBe(true);
        expect(bytes('stderr').equals(OUTPUT)).toBe(true);
        expect(onGap).not.toHaveBeenCalled();
      }),
    );
  });

  it('goes on counting from another one', () => {
    const first = createCountedOutput(() => undefined);
    first.sink('stderr', OUTPUT.subarray(0, 900));
    const second = createCountedOutput(() => undefined, first.positions());
    second.sink('stderr', OUTPUT.subarray(900, 1_500));
    expect(second.positions().stderr).toEqual({ bytes: 1_500, tail: OUTPUT.subarray(1_500 - TAIL_BYTES, 1_500) });
  });

  it('where the beginning is gone: the gap is told before anything is handed on, and nothing known comes again', () => {
    const position = { ...NOTHING_READ, stdout: { bytes: 2_000, tail: OUTPUT.subarray(976, 2_000) } };
    const { skip, onGap, bytes } = skipInto(position);
    onGap.mockImplementation(() => expect(bytes('stdout').length).toBe(0));
    skip.sink('stdout', OUTPUT.subarray(1_500));
    expect(onGap).toHaveBeenCalled();
    expect(bytes('stdout').equals(OUTPUT.subarray(3_500))).toBe(true);
  });

  it.each([
    ['nothing is missing', 5, 5, false, 0],
    ['a byte is missing', 5, 4, false, 1],
    ['a newline that the engine does not keep', 5, 4, true, 0],
    ['more than that', 5, 3, true, 1],
  ])('at the end of all output: %s', (_, stored, kept, owes, gaps) => {
    const text = Buffer.from('abcd\n');
    const { skip, onGap } = skipInto({ ...NOTHING_READ, stdout: { bytes: stored, tail: text } });
    skip.sink('stdout', text.subarray(0, kept));
    skip.finish(() => owes);
    expect(onGap).toHaveBeenCalledTimes(gaps);
  });
});
