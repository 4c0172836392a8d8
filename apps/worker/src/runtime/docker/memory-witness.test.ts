import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryWitness } from './memory-witness.js';

const ID = 'c'.repeat(64);
const UID = process.getuid?.() ?? 0;

let cgroups = '';
beforeEach(async () => {
  cgroups = await mkdtemp(join(tmpdir(), 'berth-cgroups-'));
});
afterEach(() => rm(cgroups, { recursive: true }));

const put = async (folder: string, files: Record<string, string>) => {
  for (const [name, text] of Object.entries(files)) {
    const path = join(cgroups, folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
};

/** As read from a machine with version 1. */
const toV1 = (oom_kills: number, peak: number) => ({
  'memory.oom_control': `oom_kill_disable 0\nunder_oom 0\noom_kill ${oom_kills}\n`,
  'memory.max_usage_in_bytes': `${peak}\n`,
});
/** Written by the kernel's description of version 2. */
const toEvents = (oom_kills: number) =>
  `low 0\nhigh 0\nmax 12\noom ${oom_kills + 1}\noom_kill ${oom_kills}\noom_group_kill 0\n`;
const toV2 = (oom_kills: number, peak: number) => ({
  'memory.events': toEvents(oom_kills),
  'memory.peak': `${peak}\n`,
  'memory.current': '1\n',
});
const toOldV2 = (oom_kills: number, current: number) => ({
  'memory.events': toEvents(oom_kills),
  'memory.current': `${current}\n`,
});

const LAYOUTS = [
  ['v1, plain driver', `memory/docker/${ID}`, toV1],
  ['v1, systemd', `memory/system.slice/docker-${ID}.scope`, toV1],
  ['v2, systemd', `system.slice/docker-${ID}.scope`, toV2],
  ['v2, plain driver', `docker/${ID}`, toV2],
  ['v2, without root', `user.slice/user-${UID}.slice/user@${UID}.service/user.slice/docker-${ID}.scope`, toV2],
  ['v2 of an old kernel', `system.slice/docker-${ID}.scope`, toOldV2],
] as const;

const open = (sample_ms = 60_000) => createMemoryWitness({ cgroups, kernel_log: join(cgroups, 'none'), sample_ms });

describe('a container’s cgroup', () => {
  test.each(LAYOUTS)('%s: what was seen is kept, also when the cgroup is gone', async (_what, folder, toFiles) => {
    const witness = open();
    const watch = witness.watch(ID);
    expect(watch.seen).toEqual({ oom_kills: 0, last_oom_ms: null, peak_bytes: null });
    await put(folder, toFiles(0, 8_192));
    await watch.sample();
    expect(watch.seen).toEqual({ oom_kills: 0, last_oom_ms: null, peak_bytes: 8_192 });
    await put(folder, toFiles(2, 4_096));
    await watch.sample();
    const seen = { oom_kills: 2, last_oom_ms: expect.any(Number), peak_bytes: 8_192 };
    expect(watch.seen).toEqual(seen);
    await rm(join(cgroups, folder), { recursive: true });
    await watch.sample();
    expect(watch.seen).toEqual(seen);
    watch.stop();
    witness.close();
  });

  test('one timer looks at those that are watched, and stops with the last', async () => {
    const witness = open(5);
    const [, folder, toFiles] = LAYOUTS[0];
    await put(folder, toFiles(1, 77));
    const watch = witness.watch(ID);
    const other = witness.watch('d'.repeat(64));
    await vi.waitFor(() => expect(watch.seen).toMatchObject({ oom_kills: 1, peak_bytes: 77 }));
    expect(other.seen.peak_bytes).toBeNull();
    watch.stop();
    other.stop();
    await put(folder, toFiles(2, 99));
    const again = witness.watch(ID);
    await vi.waitFor(() => expect(again.seen.peak_bytes).toBe(99));
    expect(watch.seen.peak_bytes).toBe(77);
    again.stop();
    witness.close();
  });

  test('the kernel’s log and the cgroup are heard together', async () => {
    await writeFile(
      join(cgroups, 'kmsg'),
      `6,1,5,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/docker/${ID},task_memcg=/docker/${ID},task=sh,pid=1,uid=0\n`,
    );
    const witness = createMemoryWitness({ cgroups, kernel_log: join(cgroups, 'kmsg') });
    const watch = witness.watch(ID);
    await watch.look();
    expect(watch.seen).toMatchObject({ oom_kills: 1, last_oom_ms: expect.any(Number), peak_bytes: null });
    await put(`docker/${ID}`, toV2(3, 5));
    await watch.sample();
    expect(watch.seen).toMatchObject({ oom_kills: 3, peak_bytes: 5 });
    watch.stop();
    witness.close();
  });
});
