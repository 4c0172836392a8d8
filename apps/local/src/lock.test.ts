import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLock } from './lock.js';
import { identifyProcess, parseProcessRecord } from './process-record.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('openLock', () => {
  it('lets one in at a time', () => {
    const lock = openLock(folder);
    expect(lock.recovered).toBe(false);
    expect(() => openLock(folder)).toThrow(`Berth already runs on ${folder} (process ${process.pid})`);
    lock.release();
    openLock(folder).release();
  });

  it('takes over from the dead', () => {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: 2 ** 30, started: '1' }));
    expect(openLock(folder).recovered).toBe(true);
    expect(() => openLock(folder)).toThrow(/already runs/);
  });

  it('is not fooled by a pid that another process has now', () => {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: process.pid, started: 'long ago' }));
    expect(openLock(folder).recovered).toBe(true);
  });

  it('takes over a lock that was never written to the end', () => {
    writeFileSync(join(folder, 'lock'), '{"pid":');
    expect(openLock(folder).recovered).toBe(true);
  });
});

describe('a process record', () => {
  it('is undefined for nobody', () => {
    expect(identifyProcess(2 ** 30)).toBeUndefined();
    expect(identifyProcess(process.pid)).toMatchObject({ pid: process.pid });
  });

  it('is read back only when whole', () => {
    expect(parseProcessRecord('{"pid":1,"started":"5"}')).toEqual({ pid: 1, started: '5' });
    for (const bad of ['', 'null', '{"pid":"1","started":"5"}', '{"pid":1}'])
      expect(parseProcessRecord(bad)).toBeUndefined();
  });
});
