import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLogDecoder, parseLogPosition, toTailText } from './log-text.js';

const entry = (id: string, bytes: Buffer, stream: 'stdout' | 'stderr' = 'stdout') => ({
  id,
  stream,
  attempt: 1,
  at: null,
  bytes,
});

const split = (bytes: Buffer, cuts: number[]): Buffer[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
};

describe('createLogDecoder', () => {
  it('gives the same text however the bytes are cut and wherever the reader comes back', () => {
    const anyBytes = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(anyBytes, fc.array(fc.nat(1_000), { maxLength: 8 }), (bytes, cuts) => {
        const pieces = split(bytes, cuts);
        let text = '';
        let id = '0-0';
        for (const [i, piece] of pieces.entries()) {
          // A new decoder for every piece, from the last id alone: the reader was cut off after each of them.
          const decoder = createLogDecoder(parseLogPosition(id)?.held);
          const decoded = decoder.decode(entry(`${i + 1}-0`, piece));
          text += decoded.text;
          id = decoded.id;
        }
        text += createLogDecoder(parseLogPosition(id)?.held)
          .flush(id)
          .map((rest) => rest.text)
          .join('');
        expect(text).toBe(bytes.toString('utf8'));
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the streams apart', () => {
    const decoder = createLogDecoder();
    const euro = Buffer.from('€');
    expect(decoder.decode(entry('1-0', euro.subarray(0, 1), 'stdout')).text).toBe('');
    expect(decoder.decode(entry('2-0', euro.subarray(0, 2), 'stderr'))).toMatchObject({
      text: '',
      id: '2-0;stdout.1.e2;stderr.1.e282',
    });
    expect(decoder.decode(entry('3-0', euro.subarray(1), 'stdout'))).toMatchObject({
      text: '€',
      id: '3-0;stderr.1.e282',
    });
    expect(decoder.decode(entry('4-0', euro.subarray(2), 'stderr'))).toMatchObject({ text: '€', id: '4-0' });
  });
});

describe('parseLogPosition', () => {
  it.each([
    '',
    '-1',
    'x',
    '1',
    '1-',
    '../../x',
    '1-0;',
    '1-0;x',
    '1-0;stdout.1.e2e2e2e2',
    `1-0${';stdout.1.e2'.repeat(9)}`,
  ])('knows %j as none of ours', (id) => {
    expect(parseLogPosition(id)).toBeUndefined();
  });
});

describe('toTailText', () => {
  it('leaves out the rest of a character that was cut off', () => {
    const bytes = Buffer.from('€uro');
    expect(toTailText(bytes.subarray(1), true)).toBe('uro');
    expect(toTailText(bytes, true)).toBe('€uro');
    expect(toTailText(Buffer.from([0x80, 0x41]), false)).toBe('\ufffdA');
  });
});
