import { pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { collect, type Subject, useSubject } from './conformance.js';
import { extractAll } from './tar-text.js';

const read =
  'cat data/in.txt; ls -ln data/in.txt | cut -c1-10; echo out > made.txt && mkdir -p out/deep && echo deep > out/deep/x.txt';
/** What the fake writes is what its program says that it leaves. */
export const FILER = {
  argv: ['/bin/sh', '-c', read],
  fake: {
    output: [{ stream: 'stdout' as const, data: 'hello\n-rw-r--r--\n' }],
    files: { 'made.txt': 'out\n', 'out/deep/x.txt': 'deep\n' },
  },
};

const toTar = (owner: number): AsyncIterable<Uint8Array> => {
  const tar = pack();
  const of = { uid: owner, gid: owner };
  tar.entry({ ...of, name: 'data/', type: 'directory', mode: 0o755 });
  tar.entry({ ...of, name: 'data/in.txt', mode: 0o644 }, 'hello\n');
  tar.finalize();
  return tar as AsyncIterable<Uint8Array>;
};

/** The files' part of the contract. */
export const describeFiles = (name: string, subject: Subject): void => {
  describe(`${name} keeps the contract: files`, () => {
    const { open, options } = useSubject(subject);

    for (const [profile, owner] of [
      ['standard', 0],
      ['strict', 65_534],
    ] as const) {
      test(`what is laid into it is there when it starts, and what it leaves can be had: ${profile}`, async () => {
        const runtime = open();
        const container = await runtime.create(options(FILER, { profile, has_files: true }));
        await container.copyIn(toTar(owner));
        const output = collect();
        await container.start(output.sink);
        expect(await container.ended()).toMatchObject({ exit_code: 0 });
        expect(output.stdout().toString()).toBe('hello\n-rw-r--r--\n');
        const all = await extractAll(open().open(container.id).copyOut(''));
        expect(all).toMatchObject({
          'workspace/data/in.txt': 'hello\n',
          'workspace/made.txt': 'out\n',
          'workspace/out/deep/x.txt': 'deep\n',
        });
        expect(await extractAll(container.copyOut('out/deep'))).toMatchObject({ 'deep/x.txt': 'deep\n' });
        expect(await extractAll(container.copyOut('made.txt'))).toEqual({ 'made.txt': 'out\n' });
        expect(await extractAll(container.copyOut('no/such'))).toEqual({});
      });
    }

    test('an image need not have the folder', async () => {
      const container = await open().create(options(FILER, { workdir: '/tmp', has_files: true }));
      await container.copyIn(toTar(0));
      expect(await extractAll(container.copyOut('data'))).toMatchObject({ 'data/in.txt': 'hello\n' });
    });

    test('a container that is gone is not_found, in and out', async () => {
      const runtime = open();
      const container = await runtime.create(options(FILER, { profile: 'strict', has_files: true }));
      await container.remove();
      await expect(container.copyIn(toTar(0))).rejects.toMatchObject({ code: 'not_found' });
      await expect(extractAll(container.copyOut(''))).rejects.toMatchObject({ code: 'not_found' });
    });

    test('what the source of a tar throws comes back as it is', async () => {
      const container = await open().create(options(FILER, { profile: 'strict', has_files: true }));
      const broken = async function* () {
        for await (const chunk of toTar(0)) {
          yield chunk;
          throw new RangeError('the source broke');
        }
      };
      await expect(container.copyIn(broken())).rejects.toThrow(new RangeError('the source broke'));
    });
  });
};
