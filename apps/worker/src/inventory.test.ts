import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findGpus, isHere, parseGpuQuery, readDiskSpace, readGpuList } from './inventory.js';

const A100 = { index: 0, uuid: 'GPU-5e1f0c8a-1', name: 'NVIDIA A100-SXM4-80GB', memory_mb: 81_920 };
const ODD = { index: 1, uuid: 'GPU-2', name: 'Tesla, the odd one', memory_mb: 16_384 };
const PRINTED = `0, ${A100.uuid}, ${A100.name}, 81920\n1, GPU-2, Tesla, the odd one, 16384\n`;

const createFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-inventory-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
};

const writeProgram = (script: string): string => {
  const path = join(createFolder(), 'nvidia-smi');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
};

const createLog = () => {
  const warnings: { err?: Error; msg: string }[] = [];
  const warn = (fields: { err?: Error }, msg: string) => void warnings.push({ ...fields, msg });
  return { log: { warn: warn as never }, warnings };
};

describe('the GPUs of a machine', () => {
  it('are what nvidia-smi prints, a line each, whatever is in a name', () => {
    expect(parseGpuQuery(PRINTED)).toEqual([A100, ODD]);
    expect(parseGpuQuery('')).toEqual([]);
  });

  it.each([
    ['memory that is not told', '0, GPU-1, Tesla, [N/A]'],
    ['a lost one', 'Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.'],
    ['a UUID of another kind', '0, GPU 1, Tesla, 16384'],
    ['one of no memory', '0, GPU-1, Tesla, 0'],
    ['the same one twice', `${PRINTED}${PRINTED}`],
  ])('are not guessed: %s', (_what, line) => {
    expect(() => parseGpuQuery(line)).toThrow();
  });

  it('come from the program, asked for exactly these fields', async () => {
    const { log, warnings } = createLog();
    const asked = '--query-gpu=index,uuid,name,memory.total --format=csv,noheader,nounits';
    const program = writeProgram(`[ "$*" = "${asked}" ] && printf '%s' '${PRINTED}'`);
    expect(await findGpus(log, program)).toEqual([A100, ODD]);
    expect(warnings).toEqual([]);
  });

  it('are none where there is no program, and nobody is troubled by it', async () => {
    const { log, warnings } = createLog();
    expect(await findGpus(log, join(createFolder(), 'nvidia-smi'))).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['fails', "echo 'Driver/library version mismatch' >&2; exit 18", /Driver\/library version mismatch/],
    ['prints something else', 'echo No devices were found', /No devices were found/],
  ])('are none where the program %s, and the log says why', async (_what, script, why) => {
    const { log, warnings } = createLog();
    expect(await findGpus(log, writeProgram(script))).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.msg).toMatch(/offers none/);
    expect(warnings[0]?.err?.message).toMatch(why);
  });

  it('may be a list, or a file that holds one', () => {
    const list = JSON.stringify([A100, ODD]);
    expect(readGpuList(list)).toEqual([A100, ODD]);
    const path = join(createFolder(), 'gpus.json');
    writeFileSync(path, list);
    expect(readGpuList(path)).toEqual([A100, ODD]);
    expect(() => readGpuList('[{"index":0,"uuid":"a b","name":"x","memory_mb":1}]')).toThrow(
      /0\.uuid: must be letters/,
    );
    expect(() => readGpuList(JSON.stringify([A100, A100]))).toThrow(/twice/);
  });
});

describe('the disk', () => {
  it('is that of the folder, or unknown where it is not to be seen', async () => {
    const disk = await readDiskSpace('/');
    expect(disk?.total_mb).toBeGreaterThan(0);
    expect(disk?.free_mb).toBeLessThanOrEqual(disk?.total_mb ?? 0);
    expect(await readDiskSpace('/no/such/folder')).toBeNull();
    expect(await readDiskSpace(undefined)).toBeNull();
  });

  it.each([
    [undefined, true],
    ['unix:///var/run/docker.sock', true],
    ['tcp://10.0.0.1:2375', false],
    ['https://10.0.0.1:2376', false],
  ])('is only looked for where the engine is here: %s', (dockerHost, here) => {
    expect(isHere(dockerHost)).toBe(here);
  });
});
