import { describe, expect, it } from 'vitest';
import { createWorkloadLines } from './workload-lines.js';

const withoutTimes = (lines: string[]) => lines.map((line) => line.replace(/^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] /, ''));

describe('workload lines', () => {
  it('are whole, with the time in front, each stream by itself', () => {
    const lines = createWorkloadLines();
    lines.push('stdout', Buffer.from('one\ntw'));
    lines.push('stderr', Buffer.from('error\n'));
    lines.push('stdout', Buffer.from('o\n\nthree'));
    const taken = lines.take();
    expect(taken[0]).toMatch(/^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] one$/);
    expect(withoutTimes(taken)).toEqual(['one', 'error', 'two', '']);
    expect(lines.take()).toEqual([]);
    lines.end();
    expect(withoutTimes(lines.take())).toEqual(['three']);
  });

  it('go on with what stands behind the last end of line', () => {
    const lines = createWorkloadLines({
      stdout: { tail: Buffer.from('one\ntw') },
      stderr: { tail: Buffer.from('x\n') },
    });
    lines.push('stdout', Buffer.from('o\n'));
    lines.push('stderr', Buffer.from('y\n'));
    expect(withoutTimes(lines.take())).toEqual(['two', 'y']);
  });

  it('never hold half a character', () => {
    const lines = createWorkloadLines();
    const bytes = Buffer.from('é€😀\n');
    for (const byte of bytes) lines.push('stdout', Buffer.from([byte]));
    expect(withoutTimes(lines.take())).toEqual(['é€😀']);
    lines.push('stderr', Buffer.from([0xe2, 0x82]));
    lines.end();
    expect(withoutTimes(lines.take())).toEqual(['\uFFFD']);
  });

  it('are no more than a client’s list holds', () => {
    const lines = createWorkloadLines();
    for (let i = 0; i < 30; i += 1) lines.push('stdout', Buffer.from(`${i}\n`.repeat(1_000)));
    const taken = lines.take();
    expect([taken.length, withoutTimes(taken)[0]]).toEqual([1_000, '29']);
  });

  it('of 20 MB without an end come in parts that are soon free again', () => {
    const lines = createWorkloadLines();
    const chunk = Buffer.alloc(16 * 1024, 'x');
    for (let i = 0; i < 1_280; i += 1) lines.push('stdout', chunk);
    lines.end();
    const parts = withoutTimes(lines.take());
    expect(parts.join('')).toHaveLength(20 * 1024 * 1024);
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThan(300 * 1024);
  });
});
