import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OutputStream } from '../container-runtime.js';
import { createDemuxer } from './demuxer.js';

interface Frame {
  type: number;
  payload: Uint8Array;
}

const toBytes = ({ type, payload }: Frame): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
};

const collect = () => {
  const pieces: [OutputStream, Buffer][] = [];
  const demuxer = createDemuxer((stream, chunk) => pieces.push([stream, Buffer.from(chunk)]));
  const of = (stream: OutputStream) => Buffer.concat(pieces.filter(([s]) => s === stream).map(([, chunk]) => chunk));
  return { demuxer, pieces, of };
};

const frames = fc.array(fc.record({ type: fc.constantFrom(1, 2), payload: fc.uint8Array({ maxLength: 300 }) }));

describe('the demuxer', () => {
  test('gives each stream its bytes in order, however the frames are cut into chunks', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sent, sizes) => {
        const { demuxer, of } = collect();
        const bytes = Buffer.concat(sent.map(toBytes));
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          demuxer.push(bytes.subarray(at, at + size));
          at += size;
        }
        const expected = (type: number) => Buffer.concat(sent.filter((f) => f.type === type).map((f) => f.payload));
        expect(of('stdout').equals(expected(1))).toBe(true);
        expect(of('stderr').equals(expected(2))).toBe(true);
        expect(demuxer.broken).toBe(false);
      }),
    );
  });

  test('keeps the order across the streams', () => {
    const { demuxer, pieces } = collect();
    const sent = [1, 2, 2, 1].map((type, i) => ({ type, payload: Buffer.from([i]) }));
    demuxer.push(Buffer.concat(sent.map(toBytes)));
    expect(pieces.map(([stream, chunk]) => [stream, chunk[0]])).toEqual([
      ['stdout', 0],
      ['stderr', 1],
      ['stderr', 2],
      ['stdout', 3],
    ]);
  });

  test('takes a chunk of very many tiny frames without running out of stack', () => {
    const { demuxer, of } = collect();
    const frame = toBytes({ type: 1, payload: Buffer.from('x') });
    demuxer.push(Buffer.concat(Array.from({ length: 20_000 }, () => frame)));
    expect(of('stdout')).toHaveLength(20_000);
  });

  test('hands on the payload of a huge frame as views of the chunks, copying nothing', () => {
    const seen: ArrayBufferLike[] = [];
    const demuxer = createDemuxer((_, chunk) => seen.push(chunk.buffer));
    const header = toBytes({ type: 1, payload: Buffer.alloc(0) });
    header.writeUInt32BE(0xffff_ffff, 4);
    demuxer.push(header);
    const chunk = Buffer.alloc(65_536);
    for (let i = 0; i < 100; i += 1) demuxer.push(chunk);
    expect(seen).toHaveLength(100);
    expect(seen.every((buffer) => buffer === chunk.buffer)).toBe(true);
  });

  test('drops what the engine says itself, and everything after bytes that are no frames', () => {
    const { demuxer, pieces } = collect();
    demuxer.push(toBytes({ type: 3, payload: Buffer.from('engine') }));
    demuxer.push(toBytes({ type: 1, payload: Buffer.from('job') }));
    demuxer.push(Buffer.from('plain text that is no frame'));
    demuxer.push(toBytes({ type: 1, payload: Buffer.from('late') }));
    expect(pieces.map(([, chunk]) => chunk.toString())).toEqual(['job']);
    expect(demuxer.broken).toBe(true);
  });
});
