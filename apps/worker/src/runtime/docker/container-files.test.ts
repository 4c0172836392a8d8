import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { expect, test } from 'vitest';
import { readFileKind } from './container-files.js';

/** The engine's modes are Go's. */
const DIRECTORY = 2 ** 31;
const SYMLINK = 2 ** 27;

const FILES: Record<string, { mode: number; linkTarget?: string }> = {
  '/bin': { mode: DIRECTORY + 0o755 },
  '/bin/tool': { mode: 0o755 },
  '/bin/notes': { mode: 0o644 },
  '/bin/link': { mode: SYMLINK + 0o777, linkTarget: 'tool' },
  '/usr': { mode: SYMLINK + 0o777, linkTarget: '/bin' },
  '/dangling': { mode: SYMLINK + 0o777, linkTarget: '/nowhere' },
  '/etc/mtab': { mode: SYMLINK + 0o777, linkTarget: '/proc/mounts' },
  '/loop': { mode: SYMLINK + 0o777, linkTarget: '/loop' },
  '/tmp/script': { mode: 0o644 },
};

const container = {
  infoArchive: async ({ path }: { path: string }) => {
    const stat = FILES[path];
    if (stat === undefined) throw Object.assign(new Error('no such file'), { statusCode: 404 });
    const header = Buffer.from(JSON.stringify(stat)).toString('base64');
    return Object.assign(Readable.from([]), { headers: { 'x-docker-container-path-stat': header } });
  },
} as unknown as Docker.Container;

test.each([
  ['/bin', 'directory'],
  ['/bin/tool', 'executable'],
  ['/bin/notes', 'file'],
  ['/bin/link', 'executable'],
  ['/usr', 'directory'],
  ['/dangling', 'absent'],
  ['/loop', 'broken'],
  ['/nothing', 'absent'],
  ['/etc/mtab', 'unseen'],
  ['/workspace/made-later', 'unseen'],
  ['/tmp/script', 'file'],
  ['/tmpfile', 'absent'],
])('%s is %s', async (path, kind) => {
  expect(await readFileKind(container, path)).toBe(kind);
});
