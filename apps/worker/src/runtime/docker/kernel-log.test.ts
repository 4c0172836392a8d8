import { execFileSync } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openKernelLog, parseOomKill } from './kernel-log.js';

const A = 'a'.repeat(64);
const B = '0123456789abcdef'.repeat(4);

const toLine = (cgroup: string, more: { level?: number; us?: number; constraint?: string; limit?: string } = {}) => {
  const { level = 6, us = 11_784_868_976, constraint = 'MEMCG', limit = `oom_memcg=${cgroup}` } = more;
  const where = `nodemask=(null),cpuset=${A},mems_allowed=0,${limit}`;
  return `${level},4711,${us},-;oom-kill:constraint=CONSTRAINT_${constraint},${where},task_memcg=${cgroup},task=sh,pid=19195,uid=0\n`;
};

test.each([
  ['the plain driver', toLine(`/docker/${B}`), [B]],
  ['systemd', toLine(`/system.slice/docker-${B}.scope`), [B]],
  ['a group of the container’s own', toLine(`/docker/${B}/inner`), [B]],
  ['an engine within a container', toLine(`/docker/${A}/docker/${B}`), [A, B]],
  ['a limit above it', toLine(`/docker/${B}`, { limit: 'oom_memcg=/docker' }), [B]],
  ['the whole machine', toLine(`/docker/${B}`, { constraint: 'NONE', limit: 'global_oom' }), [B]],
  ['no container', toLine('/user.slice'), []],
])('the victim is named: %s', (_where, line, ids) => {
  expect(parseOomKill(line.trimEnd())).toEqual({ ids, uptime_us: 11_784_868_976 });
});

test.each([
  ['a forged line of a program', toLine(`/docker/${B}`, { level: 14 })],
  ['another line', '6,1,2,-;docker0: port 1(veth3f0bda1) entered disabled state'],
  ['the text within another line', `6,1,2,-;sh said oom-kill:constraint=x,task_memcg=/docker/${B},task=`],
  ['nothing', ''],
])('is no death: %s', (_what, line) => {
  expect(parseOomKill(line.trimEnd())).toBeUndefined();
});

const openFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-kernel-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
};

test('counts for each container, and what is said later', async () => {
  const path = join(await openFolder(), 'kmsg');
  const us = Number(process.hrtime.bigint() / 1_000n);
  await writeFile(path, toLine(`/docker/${A}`, { us: us - 9_000_000 }) + toLine(`/docker/${A}`, { us }));
  const log = openKernelLog(path);
  await log.read();
  expect(log.oomKillsOf(A)).toEqual({ kills: 2, last_ms: expect.any(Number) });
  expect(Math.abs((log.oomKillsOf(A).last_ms ?? 0) - Date.now())).toBeLessThan(1_000);
  expect(log.oomKillsOf(B)).toEqual({ kills: 0, last_ms: null });
  await appendFile(path, toLine(`/docker/${B}`));
  await Promise.all([log.read(), log.read()]);
  expect(log.oomKillsOf(B).kills).toBe(1);
  expect(log.oomKillsOf(A).kills).toBe(2);
  log.close();
  await log.read();
});

test('where nothing is said it waits for nothing, and where it may not be read it knows nothing', async () => {
  const folder = await openFolder();
  const pipe = join(folder, 'silent');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, join(folder, 'none'), folder]) {
    const log = openKernelLog(path);
    await log.read();
    await log.read();
    expect(log.oomKillsOf(A).kills).toBe(0);
    log.close();
  }
});

test('forgets the oldest of very many', async () => {
  const path = join(await openFolder(), 'kmsg');
  const ids = Array.from({ length: 1_100 }, (_, i) => i.toString(16).padStart(64, '0'));
  await writeFile(
    path,
    ids
      .map((id) => toLine(`/docker/${id}`))
      .join('')
      .replaceAll(A, '/'),
  );
  const log = openKernelLog(path);
  await log.read();
  expect(ids.filter((id) => log.oomKillsOf(id).kills > 0)).toHaveLength(1_024);
  expect(log.oomKillsOf(ids.at(-1) ?? '').kills).toBe(1);
  log.close();
});
