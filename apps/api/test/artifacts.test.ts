import { randomBytes } from 'node:crypto';
import { type FileStore, objectNames } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ArtifactApi, endWithArtifacts, openArtifactApi, putPack, toSha256 } from './artifact-api.js';
import { download } from './download.js';
import { claimJob, startJob, until } from './open-test-api.js';
import { openUser } from './open-users.js';
import { readZip } from './read-zip.js';

const ODD = ['a b/ü-😀.txt', '100%/c%2Fd', 'q?x=1#y', "it's (1)*.csv", '__proto__', 'constructor/toString', 'C:x'];

let api: ArtifactApi;
let files: FileStore;
beforeAll(async () => {
  api = await openArtifactApi('artifacts');
  ({ files } = api);
});
afterAll(() => api.close());

const submit = (): Promise<string> => api.submit({ outputs: ['**'], max_attempts: 2 });
const end = (job_id: string, contents: Record<string, string | Buffer>, more = {}) =>
  endWithArtifacts(api, job_id, contents, more);
const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  download(api.filesPort, path, { headers, method });

describe('the list', () => {
  it('has path, size, hash and a url that works, also for odd names', async () => {
    const job_id = await submit();
    const contents = Object.fromEntries([...ODD, 'out/empty'].map((path) => [path, path === 'out/empty' ? '' : path]));
    const { epoch } = await end(job_id, contents, { refused: 2, notes: ['link: refused'] });
    const { body } = await get(`/v1/jobs/${job_id}/artifacts`);
    const bytes = Object.values(contents).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    expect(body).toMatchObject({
      job_id,
      attempt: 1,
      epoch,
      partial: false,
      total_files: 8,
      total_bytes: bytes,
      refused: 2,
      notes: ['link: refused'],
      next_cursor: null,
    });
    expect(body.files.map(({ path }: { path: string }) => path)).toEqual(Object.keys(contents).sort());
    const [attempt] = (await api.send('GET', `/v1/jobs/${job_id}`)).body.attempts;
    expect(attempt.artifacts).toEqual({ files: 8, bytes, refused: 2, notes: ['link: refused'] });
    for (const file of body.files) {
      const reply = await get(file.url);
      expect([reply.status, reply.bytes.toString('utf8')], file.path).toEqual([200, contents[file.path]]);
      expect(file).toMatchObject({ bytes: reply.bytes.length, sha256: toSha256(reply.bytes) });
    }
  });

  it('is empty while there is nothing, and after an end that left nothing', async () => {
    const job_id = await submit();
    const empty = { attempt: null, files: [], total_files: 0 };
    expect((await get(`/v1/jobs/${job_id}/artifacts`)).body).toMatchObject(empty);
    for (const ending of ['artifacts.zip', 'artifacts.tar.gz', 'artifacts/x']) {
      expect(await get(`/v1/jobs/${job_id}/${ending}`)).toMatchObject({
        status: 404,
        body: { code: 'not_found', detail: expect.stringMatching(/partial=true/) },
      });
    }
    await api.send('POST', `/v1/jobs/${job_id}/cancel`);
    expect((await get(`/v1/jobs/${job_id}/artifacts`)).body).toMatchObject(empty);
    expect((await get(`/v1/jobs/${job_id}/artifacts.zip`)).body.detail).toMatch(/has left no files/);
  });

  it('says why where nothing could be kept', async () => {
    const job_id = await submit();
    const notes = ['the outputs were not kept: the job was cancelled meanwhile'];
    const { epoch } = await end(job_id, {}, { notes, refused: 3 });
    await files.remove(objectNames.outputs(job_id, epoch).manifest);
    await files.remove(objectNames.outputs(job_id, epoch).pack);
    expect(await get(`/v1/jobs/${job_id}/artifacts`)).toMatchObject({
      status: 200,
      body: { attempt: 1, epoch, files: [], total_files: 0, refused: 3, notes, next_cursor: null },
    });
    for (const ending of ['artifacts.zip', 'artifacts.tar.gz', 'artifacts/x']) {
      expect(await get(`/v1/jobs/${job_id}/${ending}`)).toMatchObject({
        status: 404,
        body: { code: 'not_found', detail: `Attempt 1 of this job has left no files: ${notes[0]}.` },
      });
    }
  });

  it('is of the last attempt that kept files, or the one that is asked for', async () => {
    const job_id = await submit();
    await end(job_id, { first: '1' }, { retried: true });
    expect((await get(`/v1/jobs/${job_id}/artifacts`)).body).toMatchObject({ attempt: 1, total_files: 1 });
    await end(job_id, { second: '22' });
    const read = async (query: string) => (await get(`/v1/jobs/${job_id}/artifacts${query}`)).body;
    expect((await read('')).files[0]).toMatchObject({ path: 'second' });
    const first = await read('?attempt=1');
    expect(first.files[0]).toMatchObject({ path: 'first' });
    expect((await get(first.files[0].url)).bytes.toString()).toBe('1');
    expect(await read('?attempt=3')).toMatchObject({ attempt: null, files: [] });
    expect(await get(`/v1/jobs/${job_id}/artifacts/first?attempt=3`)).toMatchObject({
      status: 404,
      body: { detail: 'Attempt 3 of this job has left no files.' },
    });
  });

  it('comes in pages, of one attempt though another ends meanwhile', async () => {
    const job_id = await submit();
    const paths = Array.from({ length: 7 }, (_, i) => `f/${i}`);
    await end(job_id, Object.fromEntries(paths.map((path) => [path, path])), { retried: true });
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await get(
        `/v1/jobs/${job_id}/artifacts?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      expect(body).toMatchObject({ attempt: 1, total_files: 7 });
      seen.push(...body.files.map(({ path }: { path: string }) => path));
      cursor = body.next_cursor;
      if (seen.length === 3) await end(job_id, { other: '' });
    }
    expect(seen).toEqual(paths);
    for (const query of ['cursor=x', 'cursor=WzFd', 'limit=0', 'limit=1001', 'attempt=0', 'partial=1', 'x=1']) {
      expect((await get(`/v1/jobs/${job_id}/artifacts?${query}`)).status, query).toBe(400);
    }
  });
});

describe('a file', () => {
  const text = '0123456789';
  let path: string;
  let job_id: string;
  const etag = `"${toSha256(text)}"`;
  beforeAll(async () => {
    job_id = await submit();
    await end(job_id, { before: 'before', 'out/"é".txt': text, empty: '', after: 'after' });
    path = `/v1/jobs/${job_id}/artifacts/out/%22%C3%A9%22.txt`;
  });

  it('is a download that no browser shows', async () => {
    const { status, headers, bytes } = await get(path);
    expect([status, bytes.toString()]).toEqual([200, text]);
    expect(headers).toMatchObject({
      etag,
      'content-type': 'application/octet-stream',
      'content-length': '10',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
      'content-disposition': `attachment; filename="___.txt"; filename*=UTF-8''%22%C3%A9%22.txt`,
    });
    const head = await get(path, { range: 'bytes=0-1' }, 'HEAD');
    expect(head).toMatchObject({ status: 200, headers: { etag, 'content-length': '10' } });
    expect(head.bytes).toHaveLength(0);
    const empty = await get(`/v1/jobs/${job_id}/artifacts/empty`);
    expect(empty).toMatchObject({ status: 200, headers: { 'content-length': '0' }, bytes: Buffer.alloc(0) });
  });

  it.each([
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=3-5', '345', 'bytes 3-5/10'],
    ['bytes=8-', '89', 'bytes 8-9/10'],
    ['bytes=-4', '6789', 'bytes 6-9/10'],
    ['bytes=5-500', '56789', 'bytes 5-9/10'],
  ])('%s of it is a part', async (range, part, shown) => {
    const reply = await get(path, { range });
    expect([reply.status, reply.bytes.toString(), reply.headers['content-range']]).toEqual([206, part, shown]);
    expect(reply.headers).toMatchObject({ etag, 'content-length': String(part.length) });
  });

  it('has no range past its end, and several at once are all of it', async () => {
    for (const range of ['bytes=10-', 'bytes=-0', 'bytes=99-100']) {
      const reply = await get(path, { range });
      expect(reply).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */10' } });
      expect(reply.body.code).toBe('range_not_satisfiable');
    }
    expect((await get(`/v1/jobs/${job_id}/artifacts/empty`, { range: 'bytes=0-' })).status).toBe(416);
    for (const range of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=5-2', 'bytes=']) {
      const reply = await get(path, { range });
      expect([reply.status, reply.bytes.toString()], range).toEqual([200, text]);
    }
  });

  it('is not sent to whoever has it, and a part only to whoever has the rest', async () => {
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const reply = await get(path, { 'if-none-match': known, range: 'bytes=0-1' });
      expect(reply).toMatchObject({ status: 304, headers: { etag } });
      expect(reply.bytes).toHaveLength(0);
    }
    expect((await get(path, { 'if-none-match': '"x"' })).status).toBe(200);
    const ask = async (tag: string) => (await get(path, { range: 'bytes=0-1', 'if-range': tag })).status;
    expect([await ask(etag), await ask('"x"'), await ask('Mon, 23 Nov 2026 00:00:00 GMT')]).toEqual([206, 200, 200]);
  });

  it.each([
    ['../before', 404],
    ['%2e%2e/before', 404],
    ['/etc/passwd', 404],
    ['etc/passwd', 404],
    ['before/', 404],
    ['', 404],
    ['out%2f%22%C3%A9%22.txt', 400],
    ['%00', 400],
    ['before%00', 400],
    ['before%0a', 404],
    ['%ff', 400],
    ['%', 400],
    ['a'.repeat(5_000), 404],
    ['a/'.repeat(2_500), 404],
    ['%F0%9F%98%80', 404],
    ['..%5cbefore', 400],
  ])('there is none at %.40s', async (odd, status) => {
    const reply = await get(`/v1/jobs/${job_id}/artifacts/${odd}`);
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toBe('application/problem+json');
  });

  it('that the store has lost is gone, and so is what was removed', async () => {
    const lost = await submit();
    const { epoch } = await end(lost, { x: 'x'.repeat(10) });
    const ask = async () => {
      const replies = ['', '/x', '.zip', '.tar.gz'].map((what) => get(`/v1/jobs/${lost}/artifacts${what}`));
      return (await Promise.all(replies)).map(({ status, body }) => [status, body?.code]);
    };
    await files.remove(objectNames.outputs(lost, epoch).pack);
    expect(await ask()).toEqual([[200, undefined], ...Array(3).fill([410, 'gone'])]);
    await files.remove(objectNames.outputs(lost, epoch).manifest);
    expect(await ask()).toEqual(Array(4).fill([410, 'gone']));
    expect((await get(`/v1/jobs/${lost}/artifacts`)).body.detail).toMatch(/kept no longer/);
  });
});

describe('what a running job has written so far', () => {
  it('is collected for whoever asks, and for an ended job is what it left', async () => {
    const job_id = await submit();
    expect((await get(`/v1/jobs/${job_id}/artifacts?partial=true`)).body).toMatchObject({ attempt: null });
    const { epoch } = await startJob(api.store, job_id);
    const part = randomBytes(8).toString('hex');
    const names = objectNames.partialOutputs(job_id, part);
    const kept = await putPack(files, names, { 'so far.txt': 'half' });
    expect((await get(`/v1/jobs/${job_id}/artifacts`)).body).toMatchObject({ attempt: null, files: [] });
    const asked = get(`/v1/jobs/${job_id}/artifacts?partial=true`);
    await until('the question', () => api.store.partials.isWanted(job_id));
    await api.store.partials.answer(job_id, { part, epoch, ...kept, refused: 0, notes: [] });
    const { body } = await asked;
    expect(body).toMatchObject({ attempt: 1, epoch, partial: true, total_files: 1 });
    expect((await get(body.files[0].url)).bytes.toString()).toBe('half');
    const zip = await get(`/v1/jobs/${job_id}/artifacts.zip?partial=true`);
    expect(await readZip(zip.bytes)).toMatchObject({ 'so far.txt': Buffer.from('half') });
  });

  it('cannot be had where nobody is there to look', async () => {
    const job_id = await submit();
    await claimJob(api.store, job_id);
    expect(await get(`/v1/jobs/${job_id}/artifacts?partial=true`)).toMatchObject({ status: 409 });
  });
});

it('what a user’s job left is there for nobody else', async () => {
  const [alice, bob] = [await openUser(api, 'alice'), await openUser(api, 'bob')];
  const job_id = await alice.submit({ outputs: ['**'] });
  await end(job_id, { secret: 'x' });
  for (const path of ['', '.zip', '.tar.gz', '/secret']) {
    const ask = async ({ authorization }: { authorization: string }) =>
      (await get(`/v1/jobs/${job_id}/artifacts${path}`, { authorization })).status;
    expect([await ask(alice), await ask(bob)], path).toEqual([200, 404]);
  }
});
