import { gzipSync } from 'node:zlib';
import type { JobInput } from '@berth/domain';
import { FilesUnavailable, type Upload } from '@berth/store';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { toClaim } from '../../test/fakes.js';
import { createMemoryFiles } from '../../test/memory-files.js';
import { extractAll } from '../../test/tar-text.js';
import { toZip } from '../../test/zip-bytes.js';
import { createHold } from '../hold.js';
import { type Container, RuntimeFault } from '../runtime/container-runtime.js';
import { InputProblem } from './input-problem.js';
import { findInputs, layInputs, toInputTar } from './lay-inputs.js';
import { readTar } from './read-tar.js';
import { TAR_END, toPadding, toTarHeader } from './tar-header.js';

type Entry = [Partial<Header> & { name: string }, string?];

const toTar = async (entries: Entry[]): Promise<Buffer> => {
  const tar = pack();
  for (const [header, text] of entries) tar.entry(header, text ?? '');
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

type Asked = Omit<JobInput, 'file_id'> & { bytes: Buffer | string };

const lay = async (asked: Asked[], limits?: { files: number; bytes: number }) => {
  const memory = createMemoryFiles();
  const inputs = asked.map(({ bytes, ...input }) => ({ ...input, file_id: memory.upload(bytes) }));
  const { found } = await findInputs(toClaim({}, { inputs }), memory.uploads);
  return toInputTar(found, memory.files, { profile: 'strict', ...(limits ? { limits } : {}) });
};
const layAll = async (...args: Parameters<typeof lay>) => extractAll(await lay(...args));

const TREE: Entry[] = [
  [{ name: './', type: 'directory' }],
  [{ name: './a.txt' }, 'one'],
  [{ name: 'sub/', type: 'directory' }],
  [{ name: 'sub/ä.txt', mode: 0o755 }, 'two'],
];
const ZIP = toZip([
  { name: 'a.txt', bytes: 'one' },
  { name: 'sub/', unix_mode: 0o040755 },
  { name: 'sub/ä.txt', bytes: 'two', unix_mode: 0o100755 },
]);

describe('inputs', () => {
  it('become one tar, with the folders that they need before them', async () => {
    const tar = await lay([
      { path: 'data/deep/in.csv', bytes: '1,2' },
      { path: 'run.sh', bytes: 'true', mode: 'executable' },
      { path: 'data/empty', bytes: '' },
    ]);
    const seen = [];
    for await (const { header } of readTar(tar, { requires_end: true })) {
      seen.push([header.name, header.mode?.toString(8), header.uid]);
    }
    expect(seen).toEqual([
      ['data/', '755', 65_534],
      ['data/deep/', '755', 65_534],
      ['data/deep/in.csv', '644', 65_534],
      ['run.sh', '755', 65_534],
      ['data/empty', '644', 65_534],
    ]);
  });

  it.each(['tar', 'tar.gz', 'zip'])('are unpacked: %s', async (format) => {
    const tar = await toTar(TREE);
    const bytes = { tar, 'tar.gz': gzipSync(tar), zip: ZIP }[format] ?? tar;
    expect(await layAll([{ path: 'in', bytes, extract: true }])).toEqual({
      'in/': '',
      'in/a.txt': 'one',
      'in/sub/': '',
      'in/sub/ä.txt': 'two',
    });
  });

  it.each<[string, Entry[]]>([
    ['a link', [[{ name: 'l', type: 'symlink', linkname: '/etc/passwd' }]]],
    ['a hard link', [[{ name: 'l', type: 'link', linkname: '/etc/passwd' }]]],
    ['a device', [[{ name: 'l', type: 'character-device' }]]],
    ['a pipe', [[{ name: 'l', type: 'fifo' }]]],
    ['an absolute name', [[{ name: '/etc/passwd' }, 'x']]],
    ['a name that leads out', [[{ name: 'a/../../x' }, 'x']]],
    ['a control character', [[{ name: 'a\nb' }, 'x']]],
    [
      'a file that is a folder too',
      [
        [{ name: 'a' }, 'x'],
        [{ name: 'a/b' }, 'x'],
      ],
    ],
    [
      'a folder that is a file too',
      [
        [{ name: 'a/b' }, 'x'],
        [{ name: 'a' }, 'x'],
      ],
    ],
  ])('that hold %s are refused, packed in any way', async (_, entries) => {
    const bytes = await toTar(entries);
    for (const one of [bytes, gzipSync(bytes)]) {
      await expect(layAll([{ path: 'in', bytes: one, extract: true }])).rejects.toThrow(InputProblem);
    }
  });

  it.each([
    ['a link', { name: 'l', bytes: '/etc/passwd', unix_mode: 0o120777 }],
    ['a device', { name: 'd', unix_mode: 0o020666 }],
    ['an absolute name', { name: '/etc/passwd', bytes: 'x' }],
    ['a name that leads out', { name: '../x', bytes: 'x' }],
    ['a size that is not true', { name: 'x', bytes: 'x'.repeat(1_000), claims_bytes: 10 }],
  ])('that are a zip and hold %s are refused', async (_, member) => {
    await expect(layAll([{ path: 'in', bytes: toZip([member]), extract: true }])).rejects.toThrow(InputProblem);
  });

  it('that unpack to too much, or too well, are refused without unpacking them', async () => {
    const tar = await toTar([
      [{ name: 'a' }, 'x'.repeat(5_000)],
      [{ name: 'b' }, 'x'.repeat(5_000)],
    ]);
    const one = { path: 'in', bytes: tar, extract: true };
    await expect(layAll([one], { files: 10, bytes: 9_000 })).rejects.toThrow(/holds more than 9000 bytes/);
    await expect(layAll([one], { files: 2, bytes: 90_000 })).rejects.toThrow(/more than 2 files/);
    const claims = [toTarHeader({ name: 'z', bytes: 200 * 1024 ** 2, mode: 0o644, owner: 0 }), Buffer.alloc(1_000)];
    const bomb = gzipSync(Buffer.concat(claims));
    await expect(layAll([{ path: 'in', bytes: bomb, extract: true }])).rejects.toThrow(/250 times its size/);
  });

  it('are not unpacked behind the end of their tar', async () => {
    const tar = await toTar(TREE);
    const end = Buffer.alloc(150 * 1024 ** 2);
    for (const [i, bytes] of [
      tar,
      gzipSync(Buffer.concat([tar, end])),
      Buffer.concat([tar, Buffer.alloc(512 * 1_367)]),
    ].entries()) {
      expect(Object.keys(await layAll([{ path: 'in', bytes, extract: true }])), String(i)).toHaveLength(4);
    }
  });

  it('count with all that comes out of them, whether it is in a file or not', async () => {
    const header = toTarHeader({ name: 'n'.repeat(1_000_000), bytes: 0, mode: 0o644, owner: 0 });
    const pax = header.subarray(0, header.length - 512);
    const bytes = gzipSync(Buffer.concat(Array.from({ length: 120 }, () => pax)));
    await expect(layAll([{ path: 'in', bytes, extract: true }])).rejects.toThrow(/250 times its size/);
  });

  it.each([
    ['no archive', Buffer.from('hello'), /no tar, tar.gz or zip/],
    ['an empty file', Buffer.alloc(0), /no tar, tar.gz or zip/],
    ['half a tar.gz', gzipSync(Buffer.alloc(100_000, 'x')).subarray(0, 60), /cannot be unpacked/],
    ['half a zip', ZIP.subarray(0, 60), /cannot be unpacked/],
  ])('to be unpacked that are %s are refused', async (_, bytes, why) => {
    await expect(layAll([{ path: 'in', bytes, extract: true }])).rejects.toThrow(why);
  });

  it('that are gone, or not what was uploaded, are named', async () => {
    const memory = createMemoryFiles();
    const file_id = memory.upload('abc');
    const claim = toClaim({}, { inputs: [{ path: 'data/in.csv', file_id }] });
    const { found } = await findInputs(claim, memory.uploads);
    const layIt = () => extractAll(toInputTar(found, memory.files, { profile: 'standard' }));
    memory.objects.set(`uploads/${file_id}`, Buffer.from('abd'));
    await expect(layIt()).rejects.toThrow(`input data/in.csv: the file ${file_id} is damaged`);
    memory.objects.set(`uploads/${file_id}`, Buffer.from('ab'));
    await expect(layIt()).rejects.toThrow('is damaged');
    memory.objects.clear();
    await expect(layIt()).rejects.toThrow(`input data/in.csv: the file ${file_id} is gone`);
    const gone = { read: async () => null };
    await expect(findInputs(claim, gone)).rejects.toThrow('is gone');
  });

  it('never break what unpacks them: what is no archive is the user’s problem', { timeout: 60_000 }, async () => {
    const byte = fc.record({ at: fc.nat(10_000), to: fc.nat(255) });
    const tar = await toTar(TREE);
    const tryOne = async (archive: Buffer, changes: { at: number; to: number }[]) => {
      const bytes = Buffer.from(archive);
      for (const { at, to } of changes) bytes[at % bytes.length] = to;
      const outcome = await layAll([{ path: 'in', bytes, extract: true }]).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(InputProblem);
    };
    const archive = fc.constantFrom(tar, gzipSync(tar), ZIP);
    await fc.assert(fc.asyncProperty(archive, fc.array(byte, { minLength: 1, maxLength: 4 }), tryOne), {
      numRuns: 500,
      seed: 20_261_122,
    });
  });
});

describe('laying them', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** The engine takes a piece every so many milliseconds. */
  const layAt = async (pace_ms: number) => {
    const memory = createMemoryFiles();
    const tar = await toTar(Array.from({ length: 300 }, (_, i) => [{ name: `f${i}` }, 'x']));
    const claim = toClaim({}, { inputs: [{ path: 'in', file_id: memory.upload(tar), extract: true }] });
    const inputs = await findInputs(claim, memory.uploads);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const container = {
      copyIn: async (source: AsyncIterable<Uint8Array>, signal?: AbortSignal) => {
        for await (const _ of source) {
          if (signal?.aborted) throw new RuntimeFault('engine_unavailable', 'broken off', { retryable: true });
          await new Promise((resolve) => setTimeout(resolve, pace_ms));
        }
      },
    } as unknown as Container;
    const hold = createHold(
      claim,
      () => false,
      () => undefined,
    );
    const laid = layInputs(hold, container, inputs, { files: memory.files, profile: 'strict' }).catch((error) => error);
    let over = false;
    void laid.then(() => {
      over = true;
    });
    while (!over) await vi.advanceTimersByTimeAsync(pace_ms);
    return laid;
  };

  it('may take long, by what may come out of them', async () => {
    expect(await layAt(50)).toBe('laid');
  });

  it('for too long, while store and engine get on, is the user’s problem', async () => {
    const error = await layAt(2_000);
    expect(error).toBeInstanceOf(InputProblem);
    expect(error.message).toMatch(/^input in: could not be laid within \d+ s/);
  });

  it('for too long, while the engine takes nothing, is nobody’s', async () => {
    expect(await layAt(60_000)).toBeInstanceOf(FilesUnavailable);
  });

  it('leaves time for what an archive may unpack to', async () => {
    const upload = { object: 'o', bytes: 100 * 1024 ** 2, file_id: 'f'.repeat(64) } as Upload;
    const claim = toClaim({}, { inputs: [{ path: 'in', file_id: upload.file_id, extract: true }] });
    const { limit_seconds } = await findInputs(claim, { read: async () => upload });
    expect(limit_seconds).toBe(60 + 25 + 2_560);
  });
});

describe('tar headers', () => {
  it('say what they are given, to whoever reads tars', async () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
      .filter((n) => !/[\p{Cc}\p{Cs}/]/u.test(n));
    await fc.assert(
      fc.asyncProperty(name, fc.nat(2_000), fc.boolean(), async (part, bytes, folder) => {
        const entry = { name: folder ? `a/${part}/` : `a/${part}`, bytes: folder ? 0 : bytes, mode: 0o640, owner: 7 };
        const source = async function* () {
          yield Buffer.concat([toTarHeader(entry), Buffer.alloc(entry.bytes, 1), toPadding(entry.bytes), TAR_END]);
        };
        for await (const { header } of readTar(source(), { requires_end: true })) {
          expect(header).toMatchObject({ name: entry.name, size: entry.bytes, mode: 0o640, uid: 7, gid: 7 });
        }
      }),
      { numRuns: 300 },
    );
  });

  it('of what is larger than eight gigabytes say so', async () => {
    const header = toTarHeader({ name: 'large', bytes: 20 * 1024 ** 3, mode: 0o644, owner: 0 });
    for await (const entry of readTar(
      (async function* () {
        yield header;
      })(),
    )) {
      expect(entry.header.size).toBe(20 * 1024 ** 3);
      break;
    }
  });
});
