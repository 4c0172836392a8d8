import { cpus } from 'node:os';

const SAMPLE_MS = 200;

const readTicks = () => {
  const times = cpus().map(({ times }) => times);
  const idle = times.reduce((sum, one) => sum + one.idle, 0);
  return { idle, all: times.reduce((sum, one) => sum + one.user + one.nice + one.sys + one.idle + one.irq, 0) };
};

/** How busy the machine's CPUs are over the next moment, in percent of all of them. */
export const readCpuLoad = async (): Promise<number> => {
  const before = readTicks();
  await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  const now = readTicks();
  const all = now.all - before.all;
  return all <= 0 ? 0 : Math.round((1 - (now.idle - before.idle) / all) * 1000) / 10;
};
