import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createMachineUse } from './machine-use.js';

const MEMINFO = 'MemTotal:        4096000 kB\nMemFree:          100000 kB\nMemAvailable:    3072000 kB\n';

/** A kernel with two CPUs: so many ticks of work and of rest so far, in all. */
const createKernel = () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-proc-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const show = (busy: number, idle: number) => {
    const half = `${busy / 2} 0 0 ${idle / 2} 0 0 0 0 0 0`;
    const all = `${busy / 2} ${busy / 2} 0 ${idle - 10} 10 0 0 0 77 0`;
    writeFileSync(join(folder, 'stat'), `cpu  ${all}\ncpu0 ${half}\ncpu1 ${half}\nintr 1\n`);
    writeFileSync(join(folder, 'meminfo'), MEMINFO);
  };
  return { folder, show };
};

it('is what the kernel has counted since the look before', async () => {
  const { folder, show } = createKernel();
  const read = createMachineUse({ cpus: 2, memory_mb: 4_000 }, folder);
  show(1_000, 1_000);
  expect(await read()).toBeNull();
  show(1_150, 1_050);
  expect(await read()).toEqual({ cpus: 1.5, memory_mb: 1_000 });
  expect(await read()).toEqual({ cpus: 1.5, memory_mb: 1_000 });
  show(1_150, 1_250);
  expect(await read()).toEqual({ cpus: 0, memory_mb: 1_000 });
});

it("is unknown where the kernel in sight is not the engine's", async () => {
  const { folder, show } = createKernel();
  for (const engine of [
    { cpus: 4, memory_mb: 4_000 },
    { cpus: 2, memory_mb: 2_000 },
  ]) {
    const read = createMachineUse(engine, folder);
    show(1_000, 1_000);
    await read();
    show(2_000, 1_000);
    expect(await read()).toBeNull();
  }
  expect(await createMachineUse({ cpus: 2, memory_mb: 4_000 }, join(folder, 'nowhere'))()).toBeNull();
});
