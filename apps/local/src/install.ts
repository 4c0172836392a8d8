import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { LocalError } from './local-error.js';
import { openLog, toLogPath } from './log-file.js';

export const enginePackages = ['docker.io', 'crun', 'redis-server', 'busybox-static', 'iptables', 'ca-certificates'];

/** What `/etc/os-release` says, in one question. */
export const isDebianLike = (osRelease: string): boolean =>
  /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(osRelease.replaceAll('"', ' '));

const readOsRelease = (): string => (existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');

export const machineTakesPackages = (): boolean =>
  process.platform === 'linux' && process.getuid?.() === 0 && isDebianLike(readOsRelease());

const policyFile = '/usr/sbin/policy-rc.d';

/**
 * Installs with apt. The packages' own services are kept from starting (Debian asks `policy-rc.d` first): what runs is
 * what Berth starts, and Berth can stop it again. Throws a LocalError where apt fails.
 */
export const installPackages = async (
  packages: readonly string[],
  place: { dataDir: string; env: NodeJS.ProcessEnv; say: (line: string) => void },
): Promise<void> => {
  place.say(`Installing with apt: ${packages.join(' ')} (BERTH_NO_INSTALL=1 forbids it) …`);
  const log = openLog(place.dataDir, 'apt');
  const apt = (args: string[]) => runApt(args, { env: place.env, onOutput: log.write });
  const ours = !existsSync(policyFile);
  if (ours) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await apt(['update', '-q']);
    const install = ['install', '-y', '-q', '--no-install-recommends'];
    if ((await apt([...install, ...packages])) === 0) return;
    const present = packages.filter((name) => name !== 'crun');
    if (present.length < packages.length && (await apt([...install, ...present])) === 0) return;
    throw new LocalError(
      `apt-get could not install ${packages.join(' ')}. What it said is in ${toLogPath(place.dataDir, 'apt')}.`,
    );
  } finally {
    if (ours) rmSync(policyFile, { force: true });
    await log.close();
  }
};

/** In a process group of its own: a Ctrl-C must not cut apt in two. Resolves to its exit code. */
const runApt = (
  args: readonly string[],
  { env, onOutput }: { env: NodeJS.ProcessEnv; onOutput: (text: string) => void },
): Promise<number> =>
  new Promise((resolve) => {
    const apt = spawn('apt-get', args, {
      env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [apt.stdout, apt.stderr])
      stream.on('data', (chunk: Buffer) => onOutput(chunk.toString().trimEnd()));
    apt.once('error', () => resolve(127));
    apt.once('close', (code) => resolve(code ?? 1));
  });
