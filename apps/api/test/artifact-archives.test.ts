import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { FileStore } from '@berth/store';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ArtifactApi, type Contents, endWithArtifacts, openArtifactApi } from './artifact-api.js';
import { download } from './download.js';
import { until } from './open-test-api.js';
import { readZip } from './read-zip.js';

const readTarGz = async (bytes: Buffer): Promise<Record<string, Buffer>> => {
  const found: Record<string, Buffer> = {};
  const tar = extract();
  Readable.from([gunzipSync(bytes)]).pipe(tar);
  for await (const entry of tar) {
    expect(entry.header).toMatchObject({ type: 'file', mode: 0o644, mtime: new Date(1_700_000_000_000) });
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found[entry.header.name] = Buffer.concat(chunks);
  }
  return found;
};

const FORMATS = [
  ['zip', 'application/zip', readZip],
  ['tar.gz', 'application/gzip', readTarGz],
] as const;

const CONTENTS: Contents = {
  'a.txt': 'first',
  'out/ü 😀.bin': randomBytes(700_000),
  empty: '',
  [`${'d'.repeat(100)}/${'e'.repeat(100)}/${'f'.repeat(100)}`]: 'long',
  __proto: 'p',
  last: randomBytes(70_000),
};

/** A store that counts what is read of packs, may cut them short, and breaks where it is told to. */
const watchReads = (files: FileStore) => {
  const seen = { opened: 0, closed: 0, bytes: 0, ends_after: Number.POSITIVE_INFINITY, fails: false };
  const watch = (pack: Readable): Readable =>
    Readable.from(
      (async function* () {
        try {
          for await (const chunk of pack) {
            if (seen.bytes >= seen.ends_after && seen.fails) throw new Error('the disk is broken');
            if (seen.bytes >= seen.ends_after) return;
            seen.bytes += (chunk as Buffer).length;
            yield chunk as Buffer;
          }
        } finally {
          seen.closed += 1;
          pack.destroy();
        }
      })(),
    );
  const read: FileStore['read'] = async (name, range) => {
    const found = await files.read(name, range);
    if (!name.endsWith('.pack')) return found;
    seen.opened += 1;
    return watch(found);
  };
  return { seen, files: { ...files, read } };
};

let api: ArtifactApi;
let seen: ReturnType<typeof watchReads>['seen'];
beforeAll(async () => {
  api = await openArtifactApi('archives', (files) => {
    const watched = watchReads(files);
    ({ seen } = watched);
    return watched.files;
  });
});
afterAll(() => api.close());

const toStatus = async (path: string): Promise<number> => (await download(api.filesPort, path)).status;

const endNew = async (contents: Contents): Promise<string> => {
  const job_id = await api.submit({ outputs: ['**'] });
  await endWithArtifacts(api, job_id, contents);
  return job_id;
};

const reset = (more: Partial<typeof seen> = {}): void => {
  Object.assign(seen, { opened: 0, closed: 0, bytes: 0, ends_after: Number.POSITIVE_INFINITY, fails: false }, more);
};

describe.each(FORMATS)('all files as %s', (ending, type, readArchive) => {
  it('are there whole, under their names, and the pack is read once', async () => {
    const job_id = await endNew(CONTENTS);
    reset();
    const { status, headers, bytes } = await download(api.filesPort, `/v1/jobs/${job_id}/artifacts.${ending}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': type,
      'content-disposition': expect.stringContaining(`filename="artifacts-${job_id}.${ending}"`),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
    });
    const found = await readArchive(bytes);
    expect(Object.keys(found)).toEqual(Object.keys(CONTENTS));
    for (const [name, content] of Object.entries(CONTENTS))
      expect(found[name]?.equals(Buffer.from(content))).toBe(true);
    expect(seen).toMatchObject({ opened: 1, closed: 1 });
    const head = await download(api.filesPort, `/v1/jobs/${job_id}/artifacts.${ending}`, { method: 'HEAD' });
    expect([head.status, head.bytes.length, seen.opened]).toEqual([200, 0, 1]);
  });

  it('may be none', async () => {
    for (const contents of [{}, { empty: '' }]) {
      const job_id = await endNew(contents);
      const { bytes } = await download(api.filesPort, `/v1/jobs/${job_id}/artifacts.${ending}`);
      expect(Object.keys(await readArchive(bytes))).toEqual(Object.keys(contents));
    }
  });

  it.each([
    ['breaks', true],
    ['ends too soon', false],
  ])('are no archive where the store %s', async (_, fails) => {
    const job_id = await endNew({ a: randomBytes(400_000), b: randomBytes(400_000), c: 'c' });
    reset({ ends_after: 500_000, fails });
    const path = `/v1/jobs/${job_id}/artifacts.${ending}`;
    await expect(toStatus(path)).rejects.toThrow(/aborted|reset|hang up/);
    expect(seen).toMatchObject({ opened: 1, closed: 1 });
    reset({ ends_after: 200_000, fails });
    await expect(toStatus(`/v1/jobs/${job_id}/artifacts/a`)).rejects.toThrow(/aborted|reset|hang up/);
  });

  it('are read no further than the client takes them, and no more when it goes away', async () => {
    const size = 64 * 1024 * 1024;
    const job_id = await endNew({ big: randomBytes(size), end: 'x' });
    reset();
    const [response] = (await once(
      httpGet({ port: api.filesPort, path: `/v1/jobs/${job_id}/artifacts.${ending}`, agent: false }),
      'response',
    )) as [IncomingMessage];
    await once(response, 'readable');
    let before = -1;
    let looks = 0;
    await until('the reading to stand still', () => {
      looks = seen.bytes === before ? looks + 1 : 0;
      before = seen.bytes;
      return looks > 10;
    });
    expect(seen.bytes).toBeLessThan(size / 2);
    response.on('error', () => undefined).destroy();
    await until('the pack to be closed', () => seen.closed === 1);
    expect(seen.bytes).toBeLessThan(size / 2);
  });
});

it('a name that would be a place on a disk of another system is none in a zip', async () => {
  const job_id = await endNew({ 'C:x': '1' });
  const { bytes } = await download(api.filesPort, `/v1/jobs/${job_id}/artifacts.zip`);
  expect(Object.keys(await readZip(bytes))).toEqual(['C_x']);
});

it('a manifest with a name that no worker writes is taken for none', async () => {
  const job_id = await endNew({ '../../etc/passwd': 'x' });
  for (const what of ['', '.zip', '.tar.gz']) {
    const { status } = await download(api.filesPort, `/v1/jobs/${job_id}/artifacts${what}`);
    expect(status, what).toBe(500);
  }
});
