import { createHash, randomBytes } from 'node:crypto';
import { FileMissing, type FileStore, FileTooLarge, type StoredObject } from '@berth/store';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

/** A store of a test file's own, and whatever else has to end with it. */
export interface OpenedFiles {
  files: FileStore;
  close(): Promise<void>;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export async function* inPieces(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const readAll = async (stream: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const collect = async (files: FileStore, prefix: string): Promise<StoredObject[]> => {
  const all: StoredObject[] = [];
  for await (const object of files.list(prefix)) all.push(object);
  return all;
};

const namesOf = async (files: FileStore, prefix: string): Promise<string[]> =>
  (await collect(files, prefix)).map(({ name }) => name);

/** Larger than what a store keeps in memory before it sends anything. */
const LARGE = 20 * 1024 * 1024;

/** What every FileStore has to do, as `file-store.ts` says. `inOrder`: false for a server that is
 * known to sort names in its own way; `oneByOne` for one that mixes up writes of one name. */
export const describeFileStore = (
  title: string,
  open: () => Promise<OpenedFiles>,
  { inOrder = true, oneByOne = false } = {},
): void => {
  const inTheirOrder = (names: string[]): string[] => (inOrder ? names : [...names].sort());

  describe(`${title} as a FileStore`, () => {
    let opened: OpenedFiles;
    let files: FileStore;
    let folder = 0;
    let at: string;
    beforeAll(async () => {
      opened = await open();
      files = opened.files;
    });
    beforeEach(() => {
      folder += 1;
      at = `test/${folder}`;
    });
    afterAll(async () => {
      await opened?.files.close();
      await opened?.close();
    });

    it.each([0, 1, 65_536, LARGE + 12_345])('gives back %i bytes as they were, with their hash', async (size) => {
      const bytes = randomBytes(size);
      const before = Date.now();
      expect(await files.put(`${at}/a`, inPieces(bytes))).toEqual({ bytes: size, sha256: sha256(bytes) });
      expect(sha256(await readAll(await files.read(`${at}/a`)))).toBe(sha256(bytes));
      const seen = await files.stat(`${at}/a`);
      expect(seen).toMatchObject({ name: `${at}/a`, bytes: size });
      expect(Math.abs((seen?.changed_at ?? 0) - before)).toBeLessThan(60_000);
    });

    it('shows nothing of an object until it is whole', async () => {
      const bytes = randomBytes(LARGE);
      const seen: unknown[] = [];
      const look = async () => {
        seen.push(await files.stat(`${at}/a`), await namesOf(files, at));
        await expect(files.read(`${at}/a`)).rejects.toBeInstanceOf(FileMissing);
      };
      const source = async function* () {
        yield* inPieces(bytes);
        await look();
      };
      await files.put(`${at}/a`, source());
      expect(seen).toEqual([undefined, []]);
      expect(await namesOf(files, at)).toEqual([`${at}/a`]);
    });

    it('replaces an object whole: until then the old one is read', async () => {
      await files.put(`${at}/a`, inPieces(Buffer.from('old one')));
      const old = await files.read(`${at}/a`);
      let between = '';
      const source = async function* () {
        yield* inPieces(Buffer.from('new'));
        between = (await readAll(await files.read(`${at}/a`))).toString();
      };
      await files.put(`${at}/a`, source());
      expect(between).toBe('old one');
      expect((await readAll(await files.read(`${at}/a`))).toString()).toBe('new');
      old.destroy();
    });

    it.each([
      ['a part', { start: 2, end: 5 }, '234'],
      ['from somewhere on', { start: 7 }, '789'],
      ['more than there is', { start: 8, end: 99 }, '89'],
      ['nothing', { start: 3, end: 3 }, ''],
      ['what is behind the end', { start: 10 }, ''],
      ['what is far behind the end', { start: 50, end: 60 }, ''],
    ])('reads %s', async (_what, range, text) => {
      await files.put(`${at}/a`, inPieces(Buffer.from('0123456789')));
      expect((await readAll(await files.read(`${at}/a`, range))).toString()).toBe(text);
    });

    it('says of what is not there that it is missing, before the first byte', async () => {
      await files.put(`${at}/a/b`, inPieces(Buffer.from('x')));
      for (const name of [`${at}/none`, `${at}/a`, `${at}/none/deeper`]) {
        await expect(files.read(name)).rejects.toBeInstanceOf(FileMissing);
        await expect(files.read(name, { start: 3, end: 3 })).rejects.toBeInstanceOf(FileMissing);
        expect(await files.stat(name)).toBeUndefined();
        await files.remove(name);
      }
      expect(await namesOf(files, at)).toEqual([`${at}/a/b`]);
    });

    it.each([10, LARGE])('refuses a source of more than %i bytes as soon as it is seen', async (max_bytes) => {
      let given = 0;
      let returned = false;
      const source = async function* () {
        try {
          for (;;) {
            given += 65_536;
            yield Buffer.alloc(65_536);
          }
        } finally {
          returned = true;
        }
      };
      const refused = await files.put(`${at}/a`, source(), { max_bytes }).catch((error) => error);
      expect(refused).toBeInstanceOf(FileTooLarge);
      expect(refused).toMatchObject({ max_bytes });
      expect(given).toBeLessThan(max_bytes + 8 * 1024 * 1024);
      expect(returned).toBe(true);
      expect(await namesOf(files, at)).toEqual([]);
    });

    it('takes a source of exactly as many bytes as it may have', async () => {
      expect(await files.put(`${at}/a`, inPieces(randomBytes(1_000)), { max_bytes: 1_000 })).toMatchObject({
        bytes: 1_000,
      });
    });

    it.each([10, LARGE])(
      'leaves nothing of a source that throws after %i bytes, and throws what it threw',
      async (size) => {
        const fault = Object.assign(new Error('the source broke'), { code: 'ENOENT' });
        const source = async function* () {
          yield* inPieces(Buffer.alloc(size));
          throw fault;
        };
        await expect(files.put(`${at}/a`, source())).rejects.toBe(fault);
        expect(await namesOf(files, at)).toEqual([]);
        await files.put(`${at}/a`, inPieces(Buffer.from('old')));
        await expect(files.put(`${at}/a`, source())).rejects.toBe(fault);
        expect((await readAll(await files.read(`${at}/a`))).toString()).toBe('old');
      },
    );

    it.each([10, LARGE])('gives up at once when it is told to, though a source hangs after %i bytes', async (size) => {
      const stop = new AbortController();
      const reason = new Error('enough');
      const source = async function* () {
        yield* inPieces(Buffer.alloc(size));
        setImmediate(() => stop.abort(reason));
        await new Promise(() => undefined);
      };
      await expect(files.put(`${at}/a`, source(), { signal: stop.signal })).rejects.toBe(reason);
      expect(await namesOf(files, at)).toEqual([]);
      await expect(files.put(`${at}/a`, inPieces(Buffer.alloc(1)), { signal: stop.signal })).rejects.toBe(reason);
      expect(await namesOf(files, at)).toEqual([]);
    });

    it('removes an object once and for all', async () => {
      await files.put(`${at}/a`, inPieces(Buffer.from('x')));
      await files.remove(`${at}/a`);
      await files.remove(`${at}/a`);
      expect(await files.stat(`${at}/a`)).toBeUndefined();
      expect(await namesOf(files, at)).toEqual([]);
      await files.put(`${at}/a`, inPieces(Buffer.from('y')));
      expect((await readAll(await files.read(`${at}/a`))).toString()).toBe('y');
    });

    it('reads an object that is removed meanwhile to its end, or breaks off with an error', async () => {
      await files.put(`${at}/a`, inPieces(Buffer.alloc(LARGE)));
      const stream = await files.read(`${at}/a`);
      await files.remove(`${at}/a`);
      const read = await readAll(stream).catch(() => undefined);
      expect([LARGE, undefined]).toContain(read?.length);
    });

    it('ends a read that is destroyed', async () => {
      await files.put(`${at}/a`, inPieces(Buffer.alloc(LARGE)));
      for (let i = 0; i < 20; i++) {
        const stream = await files.read(`${at}/a`);
        for await (const _ of stream) break;
        expect(stream.destroyed).toBe(true);
      }
    });

    it('lists what begins with a prefix, in order of names', async () => {
      const names = ['b', 'a/2', 'a/10', 'a-b', 'a.b', 'ab/c', 'a/1', 'a/x/y', 'B', '_', '0'].map((n) => `${at}/${n}`);
      const listed = async (prefix: string) => inTheirOrder(await namesOf(files, prefix));
      for (const name of names) await files.put(name, inPieces(Buffer.from(name)));
      expect(await listed(`${at}/`)).toEqual([...names].sort());
      expect(await listed(`${at}/a`)).toEqual(names.filter((n) => n.startsWith(`${at}/a`)).sort());
      expect(await listed(`${at}/a/`)).toEqual(names.filter((n) => n.startsWith(`${at}/a/`)).sort());
      expect(await listed(`${at}/a/1`)).toEqual([`${at}/a/1`, `${at}/a/10`]);
      expect(await listed(`${at}/none/`)).toEqual([]);
      expect((await listed('')).filter((name) => name.startsWith(`${at}/`))).toEqual([...names].sort());
      expect((await collect(files, `${at}/a/x`))[0]).toMatchObject({ bytes: `${at}/a/x/y`.length });
    });

    it('knows no names but names of objects', async () => {
      for (const name of [
        '',
        '/etc/passwd',
        '../a',
        'a/../b',
        'a//b',
        '.incoming/x',
        'a/.b',
        'a b',
        'ä',
        'a/',
        `${'x'.repeat(201)}`,
      ]) {
        await expect(files.put(name, inPieces(Buffer.alloc(1)))).rejects.toBeInstanceOf(TypeError);
        await expect(files.read(name)).rejects.toBeInstanceOf(TypeError);
        await expect(files.stat(name)).rejects.toBeInstanceOf(TypeError);
        await expect(files.remove(name)).rejects.toBeInstanceOf(TypeError);
      }
      expect(await namesOf(files, '../')).toEqual([]);
      expect(await namesOf(files, '.')).toEqual([]);
    });

    it('takes 100 objects at once, and writes of one name by many leave one of them whole', async () => {
      const bodies = Array.from({ length: 100 }, () => randomBytes(100_000));
      await Promise.all(bodies.map((body, i) => files.put(`${at}/many/${i}`, inPieces(body))));
      expect(await namesOf(files, `${at}/many/`)).toHaveLength(100);
      const read = await Promise.all(bodies.map(async (_, i) => readAll(await files.read(`${at}/many/${i}`))));
      expect(read.map(sha256)).toEqual(bodies.map(sha256));
      for (const i of bodies.keys()) await files.remove(`${at}/many/${i}`);
      expect(await namesOf(files, `${at}/many/`)).toEqual([]);
      if (oneByOne) return;
      await Promise.all(bodies.slice(0, 20).map((body) => files.put(`${at}/one`, inPieces(body))));
      expect(bodies.slice(0, 20).map(sha256)).toContain(sha256(await readAll(await files.read(`${at}/one`))));
    });
  });
};
