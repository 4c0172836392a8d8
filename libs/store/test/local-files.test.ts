import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FilesUnavailable, openLocalFiles } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { describeFileStore, inPieces } from './file-store-conformance.js';

const run = promisify(execFile);

const createFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'berth-files-'));

describeFileStore('a folder', async () => {
  const folder = await createFolder();
  return { files: await openLocalFiles(folder), close: () => rm(folder, { recursive: true }) };
});

const open = async () => {
  const folder = await createFolder();
  const files = await openLocalFiles(folder);
  onTestFinished(async () => {
    await files.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { folder, files };
};

describe('a folder of files', () => {
  it('keeps nothing of what failed, and no empty folders', async () => {
    const { folder, files } = await open();
    await files.put('a/b/c', inPieces(Buffer.from('x')));
    await files.put('a/b/d', inPieces(Buffer.alloc(10)), { max_bytes: 3 }).catch(() => undefined);
    expect(await readdir(join(folder, '.incoming'))).toEqual([]);
    await files.remove('a/b/c');
    expect(await readdir(folder)).toEqual(['.incoming']);
  });

  it('throws away what writers that died left, after a day, and nothing younger', async () => {
    const { folder, files } = await open();
    const incoming = join(folder, '.incoming');
    await writeFile(join(incoming, 'old'), 'x');
    await writeFile(join(incoming, 'young'), 'x');
    const yesterday = Date.now() / 1000 - 25 * 3600;
    await utimes(join(incoming, 'old'), yesterday, yesterday);
    await (await openLocalFiles(folder)).close();
    expect(await readdir(incoming)).toEqual(['young']);
    expect(await files.stat('young')).toBeUndefined();
  });

  it('takes and removes objects of one folder at once', async () => {
    const { folder, files } = await open();
    const all = Array.from({ length: 200 }, (_, i) => `a/b/${i}`);
    await Promise.all(
      all.map(async (name) => {
        await files.put(name, inPieces(Buffer.from(name)));
        await files.remove(name);
      }),
    );
    expect(await readdir(folder)).toEqual(['.incoming']);
  });

  it("is nobody's but its own", async () => {
    const { folder, files } = await open();
    await files.put('a/b', inPieces(Buffer.from('x')));
    const modes = await Promise.all(['a', 'a/b'].map(async (path) => (await stat(join(folder, path))).mode & 0o777));
    expect(modes).toEqual([0o700, 0o600]);
  });

  it('that cannot be made is not available', async () => {
    const { folder } = await open();
    await writeFile(join(folder, 'file'), 'x');
    const opened = openLocalFiles(join(folder, 'file/x'));
    await expect(opened).rejects.toBeInstanceOf(FilesUnavailable);
    await expect(opened).rejects.toThrow(
      /\(BERTH_FILES\) cannot be read or written: ENOTDIR: not a directory, mkdir '.*x/,
    );
  });

  it('that is gone is not available', async () => {
    const { folder, files } = await open();
    await rm(join(folder, '.incoming'), { recursive: true });
    await expect(files.put('a', inPieces(Buffer.from('x')))).rejects.toBeInstanceOf(FilesUnavailable);
  });

  it.skipIf(process.getuid?.() !== 0)(
    'on a full disk is not available, leaves nothing, and goes on when there is room',
    async () => {
      const folder = await createFolder();
      await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
      onTestFinished(async () => {
        await run('umount', [folder]);
        await rm(folder, { recursive: true });
      });
      const files = await openLocalFiles(folder);
      onTestFinished(() => files.close());
      await files.put('a', inPieces(Buffer.alloc(600_000)));
      const refused = files.put('b', inPieces(Buffer.alloc(600_000)));
      await expect(refused).rejects.toMatchObject({ name: 'FilesUnavailable', cause: { code: 'ENOSPC' } });
      expect(await readdir(join(folder, '.incoming'))).toEqual([]);
      await files.remove('a');
      expect(await files.put('b', inPieces(Buffer.alloc(600_000)))).toMatchObject({ bytes: 600_000 });
    },
  );
});
