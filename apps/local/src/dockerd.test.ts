import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { forgetDeadContainerd, toDockerdCommand, usualPaths } from './dockerd.js';

const traits = { program: '/usr/sbin/dockerd', crun: '/usr/bin/crun', configured: [], hybridCgroups: false };

describe('toDockerdCommand', () => {
  it('adds crun and leaves the rest to dockerd', () => {
    expect(toDockerdCommand(usualPaths, traits)).toEqual(['/usr/sbin/dockerd', '--add-runtime', 'crun=/usr/bin/crun']);
  });

  it('hides the second cgroup tree from crun alone', () => {
    const [program, ...args] = toDockerdCommand(usualPaths, { ...traits, hybridCgroups: true });
    expect(program).toBe('unshare');
    expect(args.join(' ')).toMatch(
      /^-m sh -c umount \/sys\/fs\/cgroup\/unified; exec "\$@" dockerd \/usr\/sbin\/dockerd /,
    );
    expect(toDockerdCommand(usualPaths, { ...traits, crun: undefined, hybridCgroups: true })).toEqual([traits.program]);
  });

  it('repeats nothing that daemon.json says: dockerd would not start', () => {
    expect(toDockerdCommand(usualPaths, { ...traits, configured: ['runtimes'] })).toEqual(['/usr/sbin/dockerd']);
  });

  it('takes other folders', () => {
    const paths = { socket: '/x/s', dataRoot: '/x/lib', execRoot: '/x/exec', pidFile: '/x/pid' };
    expect(
      toDockerdCommand(paths, { ...traits, crun: undefined })
        .slice(1)
        .join(' '),
    ).toBe('-H unix:///x/s --data-root /x/lib --exec-root /x/exec --pidfile /x/pid');
  });
});

describe('forgetDeadContainerd', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-exec-'));
  const file = join(folder, 'containerd/containerd.pid');
  mkdirSync(join(folder, 'containerd'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('keeps the file of one that lives, and takes away that of one that does not', () => {
    forgetDeadContainerd(folder);
    writeFileSync(file, String(process.pid));
    forgetDeadContainerd(folder);
    expect(existsSync(file)).toBe(true);
    writeFileSync(file, String(2 ** 22 + 1));
    forgetDeadContainerd(folder);
    expect(existsSync(file)).toBe(false);
  });
});
