import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OutputStream } from '../container-runtime.js';
import { createLogDecoder } from './engine-log.js';

const PART = 16 * 1024;

/** The engine's way: a frame a line, long lines in parts, and no newline behind the last part where the driver loses it. */
const toFrames = (text: string, keepsNewline: boolean): string[] =>
  text
    .split(/(?<=\n)/)
    .filter((line) => line !== '')
    .flatMap((line) => {
      const body = line.endsWith('\n') ? line.slice(0, -1) : line;
      const parts: string[] = [];
      for (let at = 0; at + PART <= body.length; at += PART) parts.push(body.slice(at, at + PART));
      const rest = body.slice(parts.length * PART);
      if (parts.length === 0) return [line];
      if (!line.endsWith('\n')) return rest === '' ? parts : [...parts, rest];
      return [...parts, keepsNewline ? `${rest}\n` : rest];
    });

const toWire = (frames: { stream: OutputStream; text: string }[]): Buffer =>
  Buffer.concat(
    frames.flatMap(({ stream, text }) => {
      const header = Buffer.from([stream === 'stdout' ? 1 : 2, 0, 0, 0, 0, 0, 0, 0]);
      header.writeUInt32BE(text.length, 4);
      return [header, Buffer.from(text, 'latin1')];
    }),
  );

const decode = (wire: Buffer, size: number) => {
  const texts: Record<OutputStream, string[]> = { stdout: [], stderr: [] };
  const decoder = createLogDecoder((stream, chunk) => texts[stream].push(chunk.toString('latin1')));
  for (let at = 0; at < wire.length; at += size) decoder.push(wire.subarray(at, at + size));
  return { stdout: texts.stdout.join(''), stderr: texts.stderr.join(''), decoder };
};

const LINES = [PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 5, 3 * PART, 0, 1];

describe('the engine’s log', () => {
  it('any lines, of either stream, in any chunks, as either driver keeps them: the bytes as they were', () => {
    const line = fc.oneof(fc.constantFrom(...LINES), fc.nat(40)).map((length) => `${'x'.repeat(length)}\n`);
    const text = fc.array(line, { maxLength: 6 }).map((lines) => lines.join(''));
    fc.assert(
      fc.property(text, text, fc.boolean(), fc.integer({ min: 100, max: 60_000 }), (out, err, keeps, size) => {
        const stdout = [...toFrames(out, keeps), 'end\n'].map((t) => ({ stream: 'stdout' as const, text: t }));
        const stderr = [...toFrames(err, keeps), 'end'].map((t) => ({ stream: 'stderr' as const, text: t }));
        const frames = stdout.flatMap((frame, i) => [frame, ...stderr.slice(i, i + 1)]);
        const decoded = decode(toWire([...frames, ...stderr.slice(stdout.length)]), size);
        expect(decoded.stdout === `${out}end\n`).toBe(true);
        expect(decoded.stderr === `${err}end`).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ['a long line at the very end', [PART, 7], true],
    ['one of exactly a part', [PART, 0], true],
    ['a short line without a newline', [7], false],
    ['the part of a line that goes on', [PART], false],
  ])('may owe a newline: %s', (_, lengths, owed) => {
    const text = (length: number) => ({ stream: 'stdout' as const, text: 'x'.repeat(length) });
    const { decoder, stdout } = decode(toWire(lengths.map(text)), 1_000);
    expect(decoder.owesNewline('stdout')).toBe(owed);
    expect(decoder.owesNewline('stderr')).toBe(false);
    expect(stdout).not.toContain('\n');
  });

  it('takes some room more than its bytes', () => {
    const frames = Array.from({ length: 1_000 }, () => ({ stream: 'stdout' as const, text: 'x\n' }));
    expect(decode(toWire(frames), 999).decoder.stored_bytes).toBe(30_000);
  });
});
