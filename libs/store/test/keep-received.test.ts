import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type FileStore, keepReceived, openLocalFiles, type ReceivedFile, receiveForm } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openTestStore } from './open-test-store.js';

const openFolder = async (): Promise<FileStore> => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-keep-'));
  const files = await openLocalFiles(folder);
  onTestFinished(async () => {
    await files.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return files;
};

const receive = async (files: FileStore, ...texts: string[]): Promise<ReceivedFile[]> =>
  Promise.all(
    texts.map(async (text, i) => {
      const object = `uploads/${text}-${i}-${Math.random().toString(36).slice(2)}`;
      return { name: text, object, ...(await files.put(object, Readable.from([Buffer.from(text)]))) };
    }),
  );

const count = async (items: AsyncIterable<unknown>): Promise<number> => {
  let found = 0;
  for await (const _ of items) found++;
  return found;
};

describe('received files', () => {
  it('are taken back whole where what they were for is not to be, the same bytes twice included', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const keeper = { files, uploads: store.uploads, user: 'ann' };
    await keepReceived(keeper, await receive(files, 'mine'));
    const { kept, drop } = await keepReceived(keeper, await receive(files, 'new', 'new', 'mine'));
    expect(kept.map(({ kind }) => kind)).toEqual(['added', 'known', 'known']);
    expect(await count(files.list(''))).toBe(2);
    await drop();
    expect([await count(files.list('')), await count(store.uploads.listAll())]).toEqual([1, 1]);
  });

  it('stay where somebody has used them since', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const { kept, drop } = await keepReceived(
      { files, uploads: store.uploads, user: 'ann' },
      await receive(files, 'a', 'b'),
    );
    const used = kept[0]?.upload.file_id ?? '';
    await expect.poll(() => Date.now()).toBeGreaterThan(kept[1]?.upload.used_at ?? 0);
    await store.uploads.touch('ann', [used]);
    await drop();
    expect(await store.uploads.read('ann', used)).not.toBeNull();
    expect(await count(files.list(''))).toBe(1);
  });

  it('are refused together where they are more than the user may have', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const received = await receive(files, 'aaaa', 'bbbb', 'cccc');
    const keeping = keepReceived({ files, uploads: store.uploads, user: 'ann', quota_bytes: 10 }, received);
    await expect(keeping).rejects.toThrow('more than they may');
    expect([await count(files.list('')), await count(store.uploads.listAll())]).toEqual([0, 0]);
  });

  it('take the place of the same bytes where those are lost or damaged, one of those that come at once', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const keeper = { files, uploads: store.uploads, user: 'ann' };
    const [lost, damaged] = (await keepReceived(keeper, await receive(files, 'lost', 'damaged'))).kept;
    await files.remove(lost?.upload.object ?? '');
    await files.put(damaged?.upload.object ?? '', Readable.from([Buffer.from('dam')]));
    const kept = await Promise.all(
      [1, 2, 3].map(async () => (await keepReceived(keeper, await receive(files, 'lost', 'damaged'))).kept),
    );
    for (const i of [0, 1]) {
      expect(kept.map((one) => one[i]?.kind).sort()).toEqual(['known', 'known', 'restored']);
      expect(await files.stat(kept[0]?.[i]?.upload.object ?? '')).toMatchObject({ bytes: [4, 7][i] });
    }
    expect([await count(files.list('')), await count(store.uploads.listAll())]).toEqual([2, 2]);
  });

  it('stay the bytes of an upload where Redis took them in and its answer was lost', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const { uploads } = store;
    const add: typeof uploads.add = async (...args) => {
      await uploads.add(...args);
      throw new Error('Command timed out');
    };
    const keeping = keepReceived({ files, uploads: { ...uploads, add }, user: 'ann' }, await receive(files, 'a', 'b'));
    await expect(keeping).rejects.toThrow('timed out');
    expect(await count(files.list(''))).toBe(1);
    const { kept } = await keepReceived({ files, uploads, user: 'ann' }, await receive(files, 'a'));
    expect(kept).toMatchObject([{ kind: 'known' }]);
    expect(await files.stat(kept[0]?.upload.object ?? '')).toMatchObject({ bytes: 1 });
  });

  it('are gone where Redis says that it cannot take them', async () => {
    const { store } = openTestStore('keep-received');
    const files = await openFolder();
    const full = Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' });
    const uploads = { ...store.uploads, add: () => Promise.reject(full) };
    await expect(keepReceived({ files, uploads, user: 'ann' }, await receive(files, 'a'))).rejects.toBe(full);
    expect(await count(files.list(''))).toBe(0);
  });
});

describe('a form', () => {
  const BOUNDARY = 'b';
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  const toPart = (name: string, size: number): Buffer[] => [
    Buffer.from(`--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n`),
    Buffer.alloc(size, 'x'),
    Buffer.from('\r\n'),
  ];
  const toField = (name: string, size: number): Buffer[] => [
    Buffer.from(`--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n`),
    Buffer.alloc(size, 'x'),
    Buffer.from('\r\n'),
  ];
  const end = Buffer.from(`--${BOUNDARY}--\r\n`);
  const options = { max_bytes: 10_000_000, max_file_bytes: 400_000, max_files: 3, onEnd: () => undefined };

  it('is stored as it comes, however its bytes are cut', async () => {
    const files = await openFolder();
    const whole = Buffer.concat([...toPart('a', 300_000), ...toPart('b', 0), end]);
    const pieces = Array.from({ length: Math.ceil(whole.length / 777) }, (_, i) =>
      whole.subarray(777 * i, 777 * (i + 1)),
    );
    const { files: received } = await receiveForm({ headers, body: Readable.from(pieces) }, { files, ...options });
    expect(received.map(({ name, bytes }) => [name, bytes])).toEqual([
      ['a', 300_000],
      ['b', 0],
    ]);
  });

  it.each([
    ['too many files', [...['a', 'b', 'c', 'd'].flatMap((name) => toPart(name, 10)), end], 'more than 3 files'],
    ['too many bytes', [...toPart('a', 11_000_000), end], 'The form is larger than 10000000 bytes'],
    ['a file too large', [...toPart('a', 10), ...toPart('b', 400_001), end], '"b" is larger than 400000 bytes'],
    ['a long field', [...toField('note', 1_025), end], '"note" is longer than 1024 bytes'],
    ['a body that breaks off', toPart('a', 100_000).slice(0, 2), 'Unexpected end of form'],
  ])('of %s is refused, and its reader told to stop', async (_, pieces, message) => {
    const files = await openFolder();
    let left = false;
    async function* body() {
      try {
        yield* pieces;
      } finally {
        left = true;
      }
    }
    await expect(receiveForm({ headers, body: body() }, { files, ...options })).rejects.toThrow(message);
    expect([left, await count(files.list(''))]).toEqual([true, 0]);
  });

  it('is refused where the store cannot take it', async () => {
    const files = await openFolder();
    const broken: FileStore = { ...files, put: () => Promise.reject(new Error('the disk is full')) };
    const body = Readable.from([...toPart('a', 2_000_000), end]);
    await expect(receiveForm({ headers, body }, { ...options, files: broken })).rejects.toThrow('the disk is full');
  });
});
