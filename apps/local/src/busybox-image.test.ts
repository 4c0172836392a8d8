import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isStaticProgram, toImageEntries } from './busybox-image.js';

const elf = (segments: number[]): Buffer => {
  const program = Buffer.alloc(64 + segments.length * 56);
  program.write('\x7fELF\x02\x01', 'latin1');
  program.writeBigUInt64LE(64n, 32);
  program.writeUInt16LE(56, 54);
  program.writeUInt16LE(segments.length, 56);
  segments.forEach((type, index) => {
    program.writeUInt32LE(type, 64 + index * 56);
  });
  return program;
};

describe('toImageEntries', () => {
  const entries = toImageEntries(Buffer.from('program'), ['busybox', 'sh', 'uname']);
  const find = (name: string) => entries.find((entry) => entry.name === name);

  it('links every applet to the one program', () => {
    expect(find('bin/busybox')).toMatchObject({ mode: 0o755, content: Buffer.from('program') });
    expect(find('bin/uname')).toMatchObject({ type: 'symlink', linkname: 'busybox' });
    expect(entries.filter((entry) => entry.name === 'bin/busybox')).toHaveLength(1);
  });

  it('has a /tmp for all and a root and a nobody', () => {
    expect(find('tmp')).toMatchObject({ type: 'directory', mode: 0o1777 });
    expect(find('etc/passwd')?.content).toMatch(/^root:x:0:0:.*\nnobody:x:65534:65534:/);
  });

  it('lists a folder before what is in it', () => {
    const names = entries.map((entry) => entry.name);
    expect(names.indexOf('usr/bin')).toBeLessThan(names.indexOf('usr/bin/env'));
  });
});

describe('isStaticProgram', () => {
  it('looks for a loader among the segments', () => {
    expect(isStaticProgram(elf([6, 1, 1]))).toBe(true);
    expect(isStaticProgram(elf([6, 3, 1]))).toBe(false);
  });

  it('says no to anything else', () => {
    expect(isStaticProgram(Buffer.from('#!/bin/sh\n'.padEnd(100)))).toBe(false);
    expect(isStaticProgram(readFileSync(process.execPath))).toBe(false);
  });
});
