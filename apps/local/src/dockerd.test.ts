import { describe, expect, it } from 'vitest';
import { toDockerdCommand, usualPaths } from './dockerd.js';

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
