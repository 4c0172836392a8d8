import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FileApi, openFileApi, sha256, USER_QUOTA } from './open-file-api.js';
import { claimJob, expectProblem, settleJob } from './open-test-api.js';

let api: FileApi;
beforeAll(async () => {
  api = await openFileApi('files');
});
afterAll(() => api.close());

describe('GET /v1/files', () => {
  it('gives the bytes, a range of them, and nothing to who has them', async () => {
    const { file_id } = (await api.put('0123456789', '/v1/files?name=digits.txt')).body;
    const whole = await api.send('GET', `/v1/files/${file_id}/content`);
    expect(whole).toMatchObject({ status: 200, text: '0123456789' });
    expect(whole.headers).toMatchObject({
      etag: `"${file_id}"`,
      'content-length': '10',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'content-disposition': expect.stringMatching(/^attachment; filename="digits.txt"/),
    });
    const ask = (headers: Record<string, string>) => api.send('GET', `/v1/files/${file_id}/content`, { headers });
    expect(await ask({ range: 'bytes=2-4' })).toMatchObject({ status: 206, text: '234' });
    expect((await ask({ range: 'bytes=-3' })).text).toBe('789');
    expect(await ask({ range: 'bytes=99-' })).toMatchObject({
      status: 416,
      headers: { 'content-range': 'bytes */10' },
    });
    expect((await ask({ 'if-none-match': `"${file_id}"` })).status).toBe(304);
    const head = await api.send('HEAD', `/v1/files/${file_id}`);
    expect(head).toMatchObject({ status: 200, text: '' });
    expect((await api.send('HEAD', `/v1/files/${file_id}/content`)).headers['content-length']).toBe('10');
    expect((await api.send('GET', `/v1/files/${file_id}`)).body).toMatchObject({ name: 'digits.txt', bytes: 10 });
  });

  it('lists all of them, newest first, page by page', async () => {
    for (const i of [1, 2, 3]) await api.put(`list ${i}`);
    const first = (await api.send('GET', '/v1/files?limit=2')).body;
    expect(first.files.map((file: { file_id: string }) => file.file_id)).toEqual([sha256('list 3'), sha256('list 2')]);
    const second = (await api.send('GET', `/v1/files?limit=2&cursor=${first.next_cursor}`)).body;
    expect(second.files[0].file_id).toBe(sha256('list 1'));
    expect((await api.send('GET', '/v1/files?cursor=nonsense')).status).toBe(400);
    expect((await api.send('GET', '/v1/files?limit=0')).status).toBe(400);
  });

  it('says of what is not there that it is not', async () => {
    for (const path of [sha256('never'), 'abc', `${sha256('never')}/content`]) {
      expectProblem(await api.send('GET', `/v1/files/${path}`));
      expect((await api.send('GET', `/v1/files/${path}`)).status).toBe(404);
    }
  });

  it('says of a file whose bytes are lost that they are', async () => {
    const { file_id } = (await api.put('to be lost')).body;
    const upload = await api.store.uploads.read('local', file_id);
    await api.context.files.remove(upload?.object ?? '');
    expect(await api.send('GET', `/v1/files/${file_id}/content`)).toMatchObject({
      status: 410,
      body: { code: 'gone', detail: expect.stringContaining('Upload the same bytes again') },
    });
  });

  it.each([
    ['PUT /v1/files', (bytes: string) => api.put(bytes)],
    ['PUT /v1/files/{id}', (bytes: string) => api.put(bytes, `/v1/files/${sha256(bytes)}`)],
    [
      'POST /v1/files',
      (bytes: string) => {
        const body = new FormData();
        body.append('file', new Blob([bytes]), 'a');
        return fetch(`http://127.0.0.1:${api.port}/v1/files`, { method: 'POST', body });
      },
    ],
  ])('is whole again when the same bytes come by %s', async (how, send) => {
    const bytes = `lost, and sent by ${how}`;
    const { file_id } = (await api.put(bytes)).body;
    const upload = await api.store.uploads.read('local', file_id);
    await api.context.files.remove(upload?.object ?? '');
    expect((await send(bytes)).status).toBe(200);
    expect(await api.send('GET', `/v1/files/${file_id}/content`)).toMatchObject({ status: 200, text: bytes });
  });
});

describe('DELETE /v1/files/{id}', () => {
  it('removes the file and its bytes, once', async () => {
    const objects = await api.findObjects();
    const { file_id } = (await api.put('to be deleted')).body;
    expect((await api.send('DELETE', `/v1/files/${file_id}`)).status).toBe(204);
    expect((await api.send('DELETE', `/v1/files/${file_id}`)).status).toBe(404);
    expect(await api.findObjects()).toBe(objects);
    expect((await api.put('to be deleted')).status).toBe(201);
  });

  it('refuses while a job that needs it has not ended', async () => {
    const { file_id } = (await api.put('needed')).body;
    const job_id = await api.submit({ inputs: [{ file_id, path: 'in' }] });
    const path = `/v1/files/${file_id}`;
    expect(await api.send('DELETE', path)).toMatchObject({ status: 409, body: { code: 'file_in_use' } });
    const claim = await claimJob(api.store, job_id);
    expect((await api.send('DELETE', path)).status).toBe(409);
    await settleJob(api.store, claim);
    expect((await api.send('DELETE', path)).status).toBe(204);
  });
});

describe('the files of a user', () => {
  it('are at most so many bytes, also where they come at once, and deleting makes room', async () => {
    const first = await Promise.all([1, 2, 3, 4, 5].map(() => api.put(randomBytes(290_000))));
    const kept = first.filter(({ status }) => status === 201);
    expect(kept.length).toBeGreaterThanOrEqual(2);
    expect(await api.store.uploads.readStoredBytes('local')).toBeLessThanOrEqual(USER_QUOTA);
    const full = await api.put(randomBytes(290_000));
    expect(full).toMatchObject({ status: 413, body: { code: 'body_too_large', limit_bytes: USER_QUOTA } });
    await api.send('DELETE', `/v1/files/${kept[0]?.body.file_id}`);
    expect((await api.put(randomBytes(290_000))).status).toBe(201);
  });

  it("are nobody else's", async () => {
    const { file_id } = (await api.put('mine')).body;
    const bob = await api.store.apiKeys.create({ user: 'bob', role: 'user', expires_at: null });
    const headers = { authorization: `Bearer ${bob.key}` };
    const path = `/v1/files/${file_id}`;
    expect((await api.send('GET', path, { headers })).status).toBe(404);
    expect((await api.send('GET', `${path}/content`, { headers })).status).toBe(404);
    expect((await api.send('DELETE', path, { headers })).status).toBe(404);
    expect((await api.send('GET', '/v1/files', { headers })).body.files).toEqual([]);
    const job = { command: 'true', inputs: [{ file_id, path: 'in' }] };
    expect((await api.send('POST', '/v1/jobs', { headers, body: job })).status).toBe(422);
    expect((await api.put('mine', '/v1/files', headers)).status).toBe(201);
    expect((await api.put('mine')).status).toBe(401);
  });
});
