import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FilesUnavailable, OBJECTS_PATH, openHttpFiles, signRequest } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itBreaksOff } from '../../../libs/store/test/broken-reads.js';
import { describeFileStore, inPieces } from '../../../libs/store/test/file-store-conformance.js';
import { openTestApi, type TestApi, until } from './open-test-api.js';

describeFileStore('the API', async () => {
  const api = await openTestApi('http-files');
  const secret = await api.store.readFileSecret();
  return { files: openHttpFiles({ url: api.url, secret }), close: api.close };
});

describe('an API that breaks off', () => {
  itBreaksOff((url) => openHttpFiles({ url, secret: 'x' }));

  it('in its answer to what it was sent has perhaps not stored it', async () => {
    const server = createServer((asked, answer) => {
      asked.resume().on('end', () => answer.end('{"bytes": 1, "sha'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const files = openHttpFiles({ url, secret: 'x' });
    await expect(files.put('a', inPieces(Buffer.alloc(1)))).rejects.toBeInstanceOf(FilesUnavailable);
    await files.close();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('requests for objects', () => {
  let api: TestApi;
  let secret: string;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-objects-'));
    api = await openTestApi('objects', { filesPlace: { kind: 'folder', folder } });
    secret = await api.store.readFileSecret();
    await api.context.files.put('logs/a', inPieces(Buffer.from('of a job')));
  });
  afterAll(async () => {
    await api.close();
    await rm(folder, { recursive: true });
  });

  const target = `${OBJECTS_PATH}/logs/a`;
  const read = (headers: Record<string, string>, path = target, method = 'GET') => api.send(method, path, { headers });

  it('are answered to who signs them with the secret of the installation', async () => {
    expect(await read(signRequest(secret, 'GET', target))).toMatchObject({ status: 200, text: 'of a job' });
    expect(secret.length).toBeGreaterThanOrEqual(43);
    expect(await api.store.readFileSecret()).toBe(secret);
  });

  it.each([
    ['no signature', {}],
    ['the signature of another method', signRequest('x', 'PUT', target)],
    ['another secret', signRequest('x'.repeat(43), 'GET', target)],
    ['an empty signature', { 'x-berth-time': String(Date.now()), 'x-berth-signature': '' }],
  ])('are refused with %s', async (_what, headers) => {
    expect((await read(headers)).status).toBe(401);
  });

  it('are refused where the signature is of another method, path, query or time', async () => {
    expect((await read(signRequest(secret, 'PUT', target))).status).toBe(401);
    expect((await read(signRequest(secret, 'GET', `${target}b`))).status).toBe(401);
    expect((await read(signRequest(secret, 'GET', target), `${target}?a=1`)).status).toBe(401);
    for (const minutes of [-6, 6]) {
      const headers = signRequest(secret, 'GET', target, Date.now() + minutes * 60_000);
      expect((await read(headers)).status).toBe(401);
    }
    const shifted = { ...signRequest(secret, 'GET', target), 'x-berth-time': String(Date.now() + 1) };
    expect((await read(shifted)).status).toBe(401);
    expect((await read(signRequest(secret, 'GET', target, Date.now() - 4 * 60_000))).status).toBe(200);
  });

  it('are nothing for users, with a key or from this machine; and the signature is good for nothing else', async () => {
    const { key } = await api.store.apiKeys.create({ user: 'root', role: 'operator', expires_at: null });
    expect((await read({ authorization: `Bearer ${key}` })).status).toBe(401);
    expect((await read(signRequest(secret, 'GET', '/v1/jobs'), '/v1/jobs')).status).toBe(401);
    expect((await read(signRequest(secret, 'GET', '/internal/objectsx'), '/internal/objectsx')).status).toBe(401);
    expect((await api.send('GET', '/openapi.json')).text).not.toContain('/internal');
  });

  it('may name the API as it is called elsewhere, though it answers users by loopback names only', async () => {
    expect((await read({ ...signRequest(secret, 'GET', target), host: 'api:8000' })).status).toBe(200);
    expect((await read({ host: 'api:8000' }, '/health')).status).toBe(421);
  });

  it('of what is no name are refused', async () => {
    for (const name of ['a//b', 'a%20b', '.incoming/a', `${'a/'.repeat(9)}b`]) {
      const path = `${OBJECTS_PATH}/${name}`;
      expect((await read(signRequest(secret, 'GET', path), path)).status, name).toBe(400);
    }
  });

  it('that break off leave nothing', async () => {
    const path = `${OBJECTS_PATH}/logs/broken`;
    for (const length of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
      const socket = connect(api.port, '127.0.0.1');
      const head = Object.entries(signRequest(secret, 'PUT', path)).map(([name, value]) => `${name}: ${value}`);
      const chunk = length.startsWith('T') ? `2710\r\n${'x'.repeat(10_000)}\r\n` : 'x'.repeat(10_000);
      socket.write(`PUT ${path} HTTP/1.1\r\nHost: localhost\r\n${length}\r\n${head.join('\r\n')}\r\n\r\n${chunk}`);
      await until('the bytes to have come', async () => socket.bytesWritten > 10_000);
      socket.destroy();
    }
    await until(
      'the server to have thrown it away',
      async () => (await readdir(join(folder, '.incoming'))).length === 0,
    );
    expect(await api.context.files.stat('logs/broken')).toBeUndefined();
  });

  it('of a store that cannot be reached say so, and what the source throws is thrown', async () => {
    const files = openHttpFiles({ url: 'http://127.0.0.1:1', secret });
    await expect(files.put('a', inPieces(Buffer.alloc(10_000_000)))).rejects.toBeInstanceOf(FilesUnavailable);
    await expect(files.read('a')).rejects.toThrow(/^The API at http:\S+ \(BERTH_URL\) cannot be asked for objects: /);
    await expect(files.list('a').next()).rejects.toBeInstanceOf(FilesUnavailable);
    await files.close();
    const wrong = openHttpFiles({ url: api.url, secret: 'x' });
    const refused = await wrong.put('a', inPieces(Buffer.alloc(10_000_000))).catch((error) => error);
    expect(refused).toBeInstanceOf(FilesUnavailable);
    expect(refused.message).toMatch(/401.*workers of this installation/);
    await wrong.close();
  });
});
