import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { LOCAL_PRINCIPAL } from '@berth/domain';
import { type FileStore, FormError } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { fromBufferPromise } from 'yauzl';
import { closeServer, openServer } from '../src/http.js';
import { createPayloadApp } from '../src/payload-app.js';
import type { Payloads } from '../src/payloads.js';
import { createMemoryFiles } from './memory-files.js';

const PACK = { pack: 'artifacts/1/1.pack', manifest: 'artifacts/1/1.json.gz' };

const SILENT = pino({ level: 'silent' });

/** A port before one payload that runs and has left these files. */
const openPort = async (contents: Record<string, Buffer>, overrides: Partial<FileStore> = {}, log = SILENT) => {
  const { files, objects } = createMemoryFiles(overrides);
  let offset = 0;
  const listed = Object.entries(contents).map(([path, { length: bytes }]) => {
    offset += bytes;
    return { path, bytes, sha256: 'a'.repeat(64), offset: offset - bytes, mode: 0o644, changed_at: -5 };
  });
  objects.set(PACK.pack, Buffer.concat(Object.values(contents)));
  objects.set(PACK.manifest, gzipSync(JSON.stringify({ files: listed })));
  const payloads: Payloads = {
    find: async (id) => ({ id, status: 'Running', job: null }),
    submit: async () => Promise.reject(new FormError('file', 'there are more than 1000 files')),
    findLivePack: async () => PACK,
    kill: async () => false,
  };
  const app = createPayloadApp({
    ...{ payloads, files, log },
    findRefusal: () => undefined,
    openWithoutKeys: false,
    verifyKey: async (key) =>
      key === undefined ? { kind: 'invalid' } : { kind: 'valid', key_id: 'k', principal: LOCAL_PRINCIPAL },
  });
  const server = await openServer(app, { port: 0, host: '127.0.0.1' });
  onTestFinished(() => closeServer(server));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const url = `http://127.0.0.1:${address.port}/retrieve_partial/1`;
  const headers = { authorization: 'Bearer key' };
  return { port: address.port, objects, ask: (init: RequestInit = {}) => fetch(url, { headers, ...init }) };
};

it('a zip holds names that stand for places elsewhere, and files of no bytes', async () => {
  const large = Buffer.alloc(200_000, 'large');
  const { ask } = await openPort({
    'C:x': Buffer.from('drive'),
    'd:/b': Buffer.from('slash'),
    empty: Buffer.alloc(0),
    large,
  });
  const response = await ask();
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip']);
  const zip = await fromBufferPromise(Buffer.from(await response.arrayBuffer()), { decodeStrings: false });
  const sizes: [string, number][] = [];
  for await (const entry of zip.eachEntry()) sizes.push([String(entry.fileName), entry.uncompressedSize]);
  expect(sizes).toEqual([
    ['C_x', 5],
    ['d_/b', 5],
    ['empty', 0],
    ['large', 200_000],
  ]);
});

it('a pack is closed when its client goes away in the middle', async () => {
  const pack = new Readable({ read: () => undefined });
  const manifest = gzipSync(
    JSON.stringify({
      files: [{ path: 'f', bytes: 1e9, sha256: 'a'.repeat(64), offset: 0, mode: 0o644, changed_at: 0 }],
    }),
  );
  const { ask } = await openPort({}, { read: async (name) => (name === PACK.pack ? pack : Readable.from([manifest])) });
  const leave = new AbortController();
  const response = await ask({ signal: leave.signal });
  expect([response.status, pack.destroyed]).toEqual([200, false]);
  leave.abort();
  await vi.waitFor(() => expect(pack.destroyed).toBe(true), { timeout: 30_000 });
});

it('HEAD opens nothing, and sees what is gone', async () => {
  const read = vi.fn(async () => Readable.from([]));
  const { ask, objects } = await openPort({ f: Buffer.from('x') }, { read });
  expect((await ask({ method: 'HEAD' })).headers.get('content-type')).toBe('application/zip');
  expect(read).not.toHaveBeenCalled();
  objects.clear();
  expect((await ask({ method: 'HEAD' })).status).toBe(404);
});

it('what is refused is a payload like any other, with the reason, which the log has too', async () => {
  const lines: object[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const { port } = await openPort({}, {}, log);
  const headers = { authorization: 'Bearer key' };
  const response = await fetch(`http://127.0.0.1:${port}/submit`, { method: 'POST', headers, body: new FormData() });
  const reason = 'there are more than 1000 files';
  expect([response.status, await response.json()]).toEqual([
    400,
    { id: 0, input: {}, status: 'Unknown', loc: '', pid: 0, killed: false, message: reason },
  ]);
  expect(lines).toEqual([{ level: 30, status: 400, reason, msg: 'a payload was refused' }]);
});

it.each(['POST', 'GET'])('an upload by %s of who may not send one does not hold its connection', async (method) => {
  const { port } = await openPort({});
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.write(`${method} /submit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n`);
  const trickle = setInterval(() => socket.write('x'), 250);
  onTestFinished(() => clearInterval(trickle));
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await once(socket, 'close');
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
});
