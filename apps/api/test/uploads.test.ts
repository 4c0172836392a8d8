import { request as sendRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FILE_LIMIT, type FileApi, openFileApi, sha256, USER_QUOTA } from './open-file-api.js';
import { expectProblem, until } from './open-test-api.js';

let api: FileApi;
beforeAll(async () => {
  api = await openFileApi('uploads');
});
afterAll(() => api.close());

const toForm = (parts: [string, string, string][], boundary = 'b0undary'): { body: string; type: string } => ({
  type: `multipart/form-data; boundary=${boundary}`,
  body: `${parts
    .map(
      ([name, file, text]) =>
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${file}"\r\nContent-Type: text/plain\r\n\r\n${text}\r\n`,
    )
    .join('')}--${boundary}--\r\n`,
});

/** What comes back for bytes that no honest client sends. */
const talk = (text: string, { end = false } = {}): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(api.port, '127.0.0.1', () => (end ? socket.end(text) : socket.write(text)));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
  });

describe('PUT /v1/files', () => {
  it('keeps the body, whatever its type, and answers with its hash', async () => {
    const reply = await api.put('some bytes', '/v1/files?name=in%20%C3%A4.csv');
    expect(reply).toMatchObject({ status: 201, headers: { location: `/v1/files/${sha256('some bytes')}` } });
    expect(reply.body).toEqual({
      file_id: sha256('some bytes'),
      sha256: sha256('some bytes'),
      bytes: 10,
      name: 'in ä.csv',
      created_at: expect.any(String),
    });
    const json = await api.put('{"a": 1}', '/v1/files', {
      'content-type': 'application/json',
      'x-file-name': 'a%2520.json',
    });
    expect(json.body).toMatchObject({ bytes: 8, name: 'a%20.json' });
    expect((await api.put('', '/v1/files')).body).toMatchObject({ bytes: 0, name: null });
  });

  it('keeps the same bytes once', async () => {
    const first = await api.put('twice');
    const objects = await api.findObjects();
    const again = await Promise.all([1, 2, 3].map(() => api.put('twice', '/v1/files?name=other')));
    expect(again.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(again[0]?.body).toEqual(first.body);
    expect(await api.findObjects()).toBe(objects);
  });

  it('of 20 at once with the same bytes adds one', async () => {
    const objects = await api.findObjects();
    const replies = await Promise.all(Array.from({ length: 20 }, () => api.put('at once')));
    expect(replies.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
    expect(await api.findObjects()).toBe(objects + 1);
  });

  it.each([
    ['whose length is announced', true],
    ['in chunks', false],
  ])('refuses more than a file may have, %s, and keeps nothing', async (_how, announced) => {
    const objects = await api.findObjects();
    const bytes = Buffer.alloc(FILE_LIMIT + 1);
    const reply = await new Promise<number | undefined>((resolve, reject) => {
      const headers = announced ? { 'content-length': bytes.length } : { 'transfer-encoding': 'chunked' };
      const request = sendRequest(
        { port: api.port, method: 'PUT', path: '/v1/files', headers, agent: false },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        },
      );
      request.on('error', reject);
      request.end(bytes);
    });
    expect(reply).toBe(413);
    expect(await api.findObjects()).toBe(objects);
    const exact = await api.put(Buffer.alloc(FILE_LIMIT));
    expect(exact.status).toBe(201);
    await api.send('DELETE', `/v1/files/${exact.body.file_id}`);
  });

  it('says 413 while an endless body is still coming', async () => {
    const objects = await api.findObjects();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = sendRequest({ port: api.port, method: 'PUT', path: '/v1/files', agent: false }, (answer) => {
        resolve(answer.statusCode);
        request.destroy();
      });
      const more = () => {
        while (!request.destroyed && request.write(Buffer.alloc(16_384)));
      };
      request.on('drain', more);
      request.on('error', (error) => reject(error));
      more();
    });
    expect(status).toBe(413);
    await until('nothing to be left', async () => (await api.findObjects()) === objects);
  });

  it('does not invite a body that it would refuse, and invites others', async () => {
    const head = (length: number) =>
      `PUT /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
    const refused = await talk(head(FILE_LIMIT + 1));
    expect(refused).toMatch(/^HTTP\/1\.1 413/);
    const taken = await talk(`${head(6)}expect`);
    expect(taken).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201/);
    const json = `POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`;
    expect(await talk(json)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400/);
  });

  it('keeps nothing of a body that breaks off, or that is not as long as was said', async () => {
    const objects = await api.findObjects();
    const head = (length: string) => `PUT /v1/files HTTP/1.1\r\nHost: localhost\r\n${length}\r\n\r\n`;
    expect(await talk(`${head('Content-Length: 100')}too short`, { end: true })).not.toMatch(/ 20[01] /);
    expect(await talk(`${head('Transfer-Encoding: chunked')}5\r\nshort\r\n`, { end: true })).not.toMatch(/ 20[01] /);
    expect(await talk(`${head('Transfer-Encoding: chunked')}zz\r\n`)).not.toMatch(/ 20[01] /);
    await until('nothing to be left', async () => (await api.findObjects()) === objects);
    // What is longer than it was said to be is the next request, and none.
    expect(await talk(`${head('Content-Length: 3')}abcdef`)).toMatch(/HTTP\/1\.1 400/);
  });

  it('waits for a body that comes slowly, longer than requests may take otherwise', async () => {
    const slow = new Promise<number | undefined>((resolve, reject) => {
      const request = sendRequest({ port: api.port, method: 'PUT', path: '/v1/files', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      request.on('error', reject);
      request.write('slow ');
      setTimeout(() => request.end('bytes'), 11_000);
    });
    expect(await slow).toBe(201);
  });

  it('refuses what it cannot make sense of', async () => {
    const bad = await api.put('x', '/v1/files?name=a%00b');
    expect(bad).toMatchObject({ status: 400, body: { errors: [{ path: 'query.name' }] } });
    expectProblem(bad);
    expect((await api.put('x', '/v1/files', { 'x-file-name': '%' })).status).toBe(400);
    expect((await api.put('x', `/v1/files?name=${'n'.repeat(256)}`)).status).toBe(400);
    expect((await api.put('x', '/v1/files?nam=x')).status).toBe(400);
    expect((await api.put('x', '/v1/files', { 'content-encoding': 'gzip' })).status).toBe(415);
    expect((await api.send('PATCH', '/v1/files')).status).toBe(405);
  });
});

describe('PUT /v1/files/{id}', () => {
  it('keeps bytes that have this hash, and needs none where they are there', async () => {
    const id = sha256('known before');
    const objects = await api.findObjects();
    expect(await api.put('known before', `/v1/files/${id}?name=k`)).toMatchObject({
      status: 201,
      body: { file_id: id },
    });
    for (const body of ['', 'known before']) {
      expect(await api.put(body, `/v1/files/${id}`)).toMatchObject({ status: 200, body: { name: 'k' } });
    }
    expect(await api.findObjects()).toBe(objects + 1);
  });

  it.each(['not these', 'known beforehand, and more'])(
    'refuses other bytes also where it has its own: %s',
    async (body) => {
      const id = sha256('known before');
      await api.put('known before');
      const refused = await api.put(body, `/v1/files/${id}`);
      expect(refused).toMatchObject({ status: 422, body: { code: 'content_mismatch' } });
      expectProblem(refused);
      expect(await api.send('GET', `/v1/files/${id}`)).toMatchObject({ status: 200, body: { bytes: 12 } });
    },
  );

  it('says of bytes that are there that they are wanted still', async () => {
    const id = sha256('wanted');
    await api.put('wanted', `/v1/files/${id}`);
    const before = await api.store.uploads.read('local', id);
    await until('it is used again', async () => {
      expect((await api.put('wanted', `/v1/files/${id}`)).status).toBe(200);
      const now = await api.store.uploads.read('local', id);
      return (now?.used_at ?? 0) > (before?.used_at ?? 0);
    });
  });

  it('refuses other bytes, and keeps none of them', async () => {
    const objects = await api.findObjects();
    const reply = await api.put('others', `/v1/files/${sha256('these')}`);
    expect(reply).toMatchObject({ status: 422, body: { code: 'content_mismatch', sha256: sha256('others') } });
    expect(await api.findObjects()).toBe(objects);
    expect((await api.put('x', '/v1/files/abc')).status).toBe(400);
  });
});

describe('POST /v1/files', () => {
  it('keeps the files of a form', async () => {
    const { body, type } = toForm([
      ['file', 'a.txt', 'first'],
      ['file', 'ä b.txt', 'second'],
    ]);
    const reply = await api.send('POST', '/v1/files', { body, headers: { 'content-type': type } });
    expect(reply.status).toBe(201);
    expect(reply.body.files).toMatchObject([
      { file_id: sha256('first'), name: 'a.txt' },
      { file_id: sha256('second') },
    ]);
    expect((await api.send('POST', '/v1/files', { body, headers: { 'content-type': type } })).status).toBe(200);
  });

  it('takes files that are each as large as a file may be, and together what the user may still store', async () => {
    const objects = await api.findObjects();
    const toLarge = (letters: string) =>
      toForm([...letters].map((letter) => ['file', letter, letter.repeat(FILE_LIMIT)]));
    const send = async ({ body, type }: ReturnType<typeof toForm>) =>
      api.send('POST', '/v1/files', { body, headers: { 'content-type': type } });
    expect(await send(toLarge('abcd'))).toMatchObject({
      status: 413,
      body: { limit_bytes: USER_QUOTA, detail: expect.stringContaining('delete some') },
    });
    expect(await api.findObjects()).toBe(objects);
    const endless = toLarge('abcdefghijkl');
    expect(await send(endless)).toMatchObject({ status: 413, body: { limit_bytes: USER_QUOTA } });
    const taken = await send(toLarge('ab'));
    expect(taken.status).toBe(201);
    for (const { file_id } of taken.body.files) await api.send('DELETE', `/v1/files/${file_id}`);
  });

  it('wants of their names what it wants of any', async () => {
    const objects = await api.findObjects();
    for (const name of ['n'.repeat(256), 'a\u0001b']) {
      const { body, type } = toForm([['file', name, 'x']]);
      const reply = await api.send('POST', '/v1/files', { body, headers: { 'content-type': type } });
      expectProblem(reply);
      expect(reply).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
    }
    expect(await api.findObjects()).toBe(objects);
  });

  it('keeps none of them where one is too large, or the form breaks off', async () => {
    const objects = await api.findObjects();
    const { body, type } = toForm([
      ['file', 'a', 'small and new'],
      ['file', 'b', 'x'.repeat(FILE_LIMIT + 1)],
    ]);
    const headers = { 'content-type': type };
    expect(await api.send('POST', '/v1/files', { body, headers })).toMatchObject({
      status: 413,
      body: { limit_bytes: FILE_LIMIT, detail: expect.stringContaining('"b" has more') },
    });
    expect((await api.send('POST', '/v1/files', { body: body.slice(0, 200), headers })).status).toBe(400);
    expect((await api.send('POST', '/v1/files', { body: '--b0undary--\r\n', headers })).status).toBe(400);
    expect((await api.send('POST', '/v1/files', { body: 'x', headers: { 'content-type': 'text/plain' } })).status).toBe(
      415,
    );
    const noBoundary = { 'content-type': 'multipart/form-data; x=y' };
    expect((await api.send('POST', '/v1/files', { body: 'x', headers: noBoundary })).status).toBe(400);
    await until('nothing to be left', async () => (await api.findObjects()) === objects);
  });
});
