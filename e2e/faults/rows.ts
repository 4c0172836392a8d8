import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';

const PROGRAMS = ['dockerd', 'redis-server', 'unshare', 'nsenter', 'ip', 'iptables'];

const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Why no world can be opened on this machine, or undefined. */
const findObstacle = (): string | undefined => {
  if (process.platform !== 'linux') return 'it takes Linux';
  if (process.getuid?.() !== 0) return 'it takes root: engines and networks of its own';
  const missing = PROGRAMS.filter((program) => !isInstalled(program));
  return missing.length > 0 ? `missing programs: ${missing.join(', ')}` : undefined;
};

const obstacle = findObstacle();

/** A file of fault scenarios. Where no world can be opened, they are skipped, and the reason stands in their title. */
export const describeFaults = (title: string, scenarios: () => void): void => {
  describe.skipIf(obstacle !== undefined)(
    obstacle === undefined ? title : `${title} (skipped: ${obstacle})`,
    scenarios,
  );
};

/** For the rows that take long: they run with `npm run test:faults`. */
export const slowIt: ReturnType<typeof it.skipIf> = it.skipIf(process.env.BERTH_FAULTS !== 'all');
