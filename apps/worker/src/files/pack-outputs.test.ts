import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { RuntimeFault } from '../runtime/container-runtime.js';
import { createCollection, packOutputs } from './pack-outputs.js';
import { BadArchive } from './read-tar.js';
import { toTarHeader } from './tar-header.js';

type Entry = [Partial<Header> & { name: string }, string?];

const toTar = async (entries: Entry[]): Promise<Buffer> => {
  const tar = pack();
  for (const [header, text] of entries) tar.entry(header, text ?? '');
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

async function* once(...chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}

const LIMITS = { files: 100, bytes: 10_000 };

const collect = async (
  archive: AsyncIterable<Buffer>,
  { patterns = ['**'], limits = LIMITS, running = false }: Partial<Asked> = {},
) => {
  const collection = createCollection(running);
  const chunks: Buffer[] = [];
  for await (const chunk of packOutputs(patterns, () => archive, collection, limits)) chunks.push(chunk);
  return { pack: Buffer.concat(chunks), files: collection.files, ...collection.notes.read() };
};

interface Asked {
  patterns: string[];
  limits: typeof LIMITS;
  running: boolean;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('what a container has left', () => {
  it('is kept file by file, as far as it is asked for', async () => {
    const tar = await toTar([
      [{ name: 'workspace/', type: 'directory' }],
      [{ name: 'workspace/a.csv', mode: 0o640, mtime: new Date(5_000) }, 'one'],
      [{ name: 'workspace/b.txt' }, 'not asked for'],
      [{ name: 'workspace/out/', type: 'directory' }],
      [{ name: 'workspace/out/c', mode: 0o755 }, 'three'],
    ]);
    const { pack: packed, files, refused } = await collect(once(tar), { patterns: ['*.csv', 'out/**', '**/none'] });
    expect(packed.toString()).toBe('onethree');
    expect(files).toMatchObject([
      { path: 'a.csv', bytes: 3, sha256: sha256('one'), offset: 0, mode: 0o640, changed_at: 5 },
      { path: 'out/c', bytes: 5, sha256: sha256('three'), offset: 3, mode: 0o755 },
    ]);
    expect(refused).toBe(0);
  });

  it('is looked for in the places that the patterns name, and below these by their whole paths', async () => {
    const tar = await toTar([[{ name: 'deep/x.txt' }, 'x']]);
    const { files } = await collect(once(tar), { patterns: ['out/deep/*.txt'] });
    expect(files).toMatchObject([{ path: 'out/deep/x.txt' }]);
  });

  it('is refused one by one where it is no plain file with a plain name', async () => {
    const tar = await toTar([
      [{ name: 'workspace/abs', type: 'symlink', linkname: '/etc/passwd' }],
      [{ name: 'workspace/up', type: 'symlink', linkname: '../../../etc/passwd' }],
      [{ name: 'workspace/hard', type: 'link', linkname: 'workspace/good' }],
      [{ name: 'workspace/pipe', type: 'fifo' }],
      [{ name: 'workspace/dev', type: 'character-device', devmajor: 1, devminor: 3 }],
      [{ name: 'workspace/line\nbreak\u001b[31m' }, 'x'],
      [{ name: `workspace/${'n'.repeat(256)}` }, 'x'],
      [{ name: `workspace/${Array(70).fill('d').join('/')}` }, 'x'],
      [{ name: 'workspace/../../etc/passwd' }, 'x'],
      [{ name: 'workspace//etc/passwd' }, 'x'],
      [{ name: 'workspace/good' }, 'good'],
      [{ name: 'workspace/good' }, 'again'],
    ]);
    const { pack: packed, files, refused, notes } = await collect(once(tar));
    expect(files.map(({ path }) => path)).toEqual(['good']);
    expect(packed.toString()).toBe('good');
    expect(refused).toBe(11);
    expect(notes.find((note) => note.startsWith('line'))).toMatch(/^line\\u\{a\}break\\u\{1b\}\[31m: /);
    expect(notes.join('')).not.toMatch(/\p{Cc}/u);
  });

  it('is kept up to the limits; of what is beyond them all is counted and some is said', async () => {
    const many = await toTar(Array.from({ length: 150 }, (_, i): Entry => [{ name: `workspace/${i}` }, 'x']));
    const seen = await collect(once(many));
    expect(seen).toMatchObject({ refused: 50 });
    expect(seen.files).toHaveLength(100);
    expect(seen.notes).toHaveLength(20);
    const large = await toTar([
      [{ name: 'workspace/a' }, 'x'.repeat(9_000)],
      [{ name: 'workspace/b' }, 'x'.repeat(2_000)],
      [{ name: 'workspace/c' }, 'x'.repeat(1_000)],
    ]);
    expect((await collect(once(large))).files.map(({ path }) => path)).toEqual(['a', 'c']);
  });

  it('ends at a file that is too large to be passed over, without reading it', async () => {
    const tar = await toTar([[{ name: 'workspace/good' }, 'good']]);
    const head = toTarHeader({ name: 'workspace/sparse', bytes: 50 * 1024 ** 3, mode: 0o644, owner: 0 });
    let read = 0;
    const endless = async function* () {
      yield tar.subarray(0, 1024);
      yield head;
      for (;;) {
        read += 65_536;
        yield Buffer.alloc(65_536);
      }
    };
    const { files, refused, notes } = await collect(endless());
    expect(files.map(({ path }) => path)).toEqual(['good']);
    expect(refused).toBe(1);
    expect(notes.join()).toContain('what came behind it was not looked at');
    expect(read).toBeLessThan(4_000_000);
  });

  const MIB = 1024 ** 2;
  const LARGE = { files: 10, bytes: 20 * 1024 * MIB };

  it('is not kept where it is all holes, nor are many files that are; what comes behind it is', async () => {
    const zeros = Buffer.alloc(MIB);
    const write = async function* (sizes: number[]) {
      for (const [i, size] of sizes.entries()) {
        yield toTarHeader({ name: `workspace/${i}`, bytes: (size + 2) * MIB, mode: 0o644, owner: 0 });
        yield Buffer.alloc(MIB, 'a');
        for (let j = 0; j < size; j += 1) yield zeros;
        yield Buffer.alloc(MIB, 'b');
      }
      yield Buffer.alloc(1024);
    };
    const kept = await collect(write([200, 30, 30, 30, 1]), { limits: LARGE });
    expect(kept.files.map(({ path, offset }) => [path, offset / MIB])).toEqual([
      ['1', 1],
      ['2', 33],
      ['4', 66],
    ]);
    expect(kept.notes).toEqual(['0', '3'].map((path) => `${path}: too much of it is zeros, as in a sparse file`));
    const last = kept.pack.subarray(66 * MIB);
    expect(createHash('sha256').update(last).digest('hex')).toBe(kept.files[2]?.sha256);
    expect(last.equals(Buffer.concat([Buffer.alloc(MIB, 'a'), zeros, Buffer.alloc(MIB, 'b')]))).toBe(true);
  });

  it('may be zeros up to its end', async () => {
    const tar = await toTar([[{ name: 'workspace/a' }, `x${'\0'.repeat(9_000)}`]]);
    const kept = await collect(once(tar.subarray(0, 600), tar.subarray(600)));
    expect(kept.files).toMatchObject([{ bytes: 9_001, sha256: sha256(`x${'\0'.repeat(9_000)}`) }]);
    expect(kept.pack).toHaveLength(9_001);
  });

  it('leaves out the place that the engine does not read, and no other', async () => {
    const good = await toTar([[{ name: 'good' }, 'good']]);
    const open = (place: string): AsyncIterable<Buffer> => {
      if (place === 'good') return once(good);
      throw new RuntimeFault(place === 'away' ? 'engine_unavailable' : 'path_refused', 'no');
    };
    const collection = createCollection(false);
    for await (const _ of packOutputs(['bad/*', 'good'], open, collection, LIMITS));
    expect(collection.files).toMatchObject([{ path: 'good' }]);
    expect(collection.notes.read()).toMatchObject({
      refused: 1,
      notes: [expect.stringMatching(/^bad: .*cannot read/)],
    });
    const away = async () => {
      for await (const _ of packOutputs(['away'], open, createCollection(false), LIMITS));
    };
    await expect(away()).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('lets others go on meanwhile, and is given up where matching it takes too much', { timeout: 60_000 }, async () => {
    const many = await toTar(Array.from({ length: 1_000 }, (): Entry => [{ name: `workspace/${'a'.repeat(236)}b` }]));
    const patterns = Array.from({ length: 64 }, (_, i) => `*${'?a'.repeat(50)}?b[${i}]*`);
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 1);
    const { files, notes } = await collect(once(many), { patterns });
    clearInterval(timer);
    expect(files).toEqual([]);
    expect(notes).toEqual([expect.stringContaining('too long to match')]);
    expect(turns).toBeGreaterThan(20);
  });

  it('is nothing where nothing stands', async () => {
    expect(await collect(once())).toMatchObject({ files: [], refused: 0, notes: [] });
  });

  it('is not taken for whole where it breaks off, but is kept so far where its container runs', async () => {
    const tar = await toTar([
      [{ name: 'workspace/a' }, 'whole'],
      [{ name: 'workspace/b' }, 'x'.repeat(2_000)],
    ]);
    for (const cut of [tar.subarray(0, 2_000), tar.subarray(0, 1_024)]) {
      await expect(collect(once(cut))).rejects.toThrow(BadArchive);
      const { files, notes } = await collect(once(cut), { running: true });
      expect(files.map(({ path }) => path)).toEqual(['a']);
      expect(notes).toHaveLength(1);
    }
  });

  it('never breaks the reader, whatever its headers say', { timeout: 60_000 }, async () => {
    const tar = await toTar([
      [{ name: 'workspace/a', pax: { comment: 'c' } }, 'one'],
      [{ name: `workspace/${'long/'.repeat(30)}b` }, 'two'],
      [{ name: 'workspace/c', type: 'symlink', linkname: 'a' }],
    ]);
    const byte = fc.record({ at: fc.nat(tar.length - 1), to: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(byte, { minLength: 1, maxLength: 8 }), fc.boolean(), async (changes, mended) => {
        const broken = Buffer.from(tar);
        for (const { at, to } of changes) broken[at] = to;
        if (mended) mendSums(broken);
        const outcome = await collect(once(broken)).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(BadArchive);
        else
          for (const file of (outcome as { files: { path: string }[] }).files)
            expect(file.path).not.toMatch(/\p{Cc}|^\/|\.\./u);
      }),
      { numRuns: 800, seed: 20_261_122 },
    );
  });
});

/** Puts the right checksum into every block that looks like a header. */
const mendSums = (tar: Buffer): void => {
  for (let at = 0; at + 512 <= tar.length; at += 512) {
    const block = tar.subarray(at, at + 512);
    if (block.toString('latin1', 257, 262) !== 'ustar') continue;
    block.write('        ', 148, 'latin1');
    block.write(
      `${block
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
      'latin1',
    );
  }
};
