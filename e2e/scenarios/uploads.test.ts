import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth } from '../harness.js';

const run = promisify(execFile);
const MB = 1_000_000;

/** The same bytes each time, and never the same twice in a row. */
const createSource = (bytes: number, seed: number) => {
  const block = createHash('sha512').update(String(seed)).digest().toString('base64').repeat(3_000);
  const buffer = Buffer.from(block).subarray(0, 256_000);
  return function* () {
    for (let left = bytes; left > 0; left -= buffer.length) yield buffer.subarray(0, Math.min(left, buffer.length));
  };
};

let berth: Berth;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-uploads-'));
  berth = await startBerth({ workers: 0, env: { BERTH_FILES: join(folder, 'files') } });
});
afterAll(async () => {
  await berth?.close();
  await rm(folder, { recursive: true });
});

const put = (source: Iterable<Buffer>): Promise<{ status: number | undefined; body: { file_id: string } }> =>
  new Promise((resolve, reject) => {
    const sent = request(`${berth.url}/v1/files`, { method: 'PUT' }, async (answer) => {
      let text = '';
      for await (const chunk of answer) text += chunk;
      resolve({ status: answer.statusCode, body: JSON.parse(text) });
    });
    sent.on('error', reject);
    Readable.from(source, { objectMode: false }).pipe(sent);
  });

const readMemory = (field: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${berth.api.pid}/status`, 'utf8'))?.[1]) *
  1_024;

/** By how much the API's memory grew at the most meanwhile. */
const measure = async (work: () => Promise<unknown>): Promise<number> => {
  const before = readMemory('VmRSS');
  // Forgets the highest mark so far.
  writeFileSync(`/proc/${berth.api.pid}/clear_refs`, '5');
  await work();
  return readMemory('VmHWM') - before;
};

describe('600 MB', () => {
  it('go through the API in less than 50 MB of its memory, in and out', async () => {
    await put(createSource(20 * MB, 0)());
    const source = createSource(600 * MB, 1);
    const sha256 = createHash('sha256');
    for (const chunk of source()) sha256.update(chunk);
    const expected = sha256.digest('hex');

    let file_id = '';
    const grew = await measure(async () => {
      const reply = await put(source());
      expect(reply).toMatchObject({ status: 201, body: { file_id: expected } });
      file_id = reply.body.file_id;
    });
    const back = createHash('sha256');
    const grewBack = await measure(async () => {
      const answer = await fetch(`${berth.url}/v1/files/${file_id}/content`);
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) back.update(chunk);
    });
    expect(back.digest('hex')).toBe(expected);
    // Where it is read by a person: what was measured.
    process.stdout.write(`600 MB in: +${Math.round(grew / MB)} MB, out: +${Math.round(grewBack / MB)} MB\n`);
    expect(grew).toBeLessThan(50 * MB);
    expect(grewBack).toBeLessThan(50 * MB);
    await berth.request('DELETE', `/v1/files/${file_id}`);
    expect(await readdir(join(folder, 'files/.incoming'))).toEqual([]);
  });
});

describe('curl', () => {
  it('sends a file with -T, which it asks about first, and a form with -F', async () => {
    const path = join(folder, 'in.bin');
    await writeFile(path, Buffer.alloc(3 * MB, 'x'));
    const curl = async (...args: string[]) => (await run('curl', ['-sS', '-i', ...args])).stdout;
    const put = await curl('-T', path, '-H', 'Expect: 100-continue', `${berth.url}/v1/files`);
    expect(put).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201/);
    const again = await curl('-F', `file=@${path}`, '-F', `file=@${path};filename=two`, `${berth.url}/v1/files`);
    expect(again).toMatch(/HTTP\/1\.1 200 OK/);
    expect(again).toContain(
      createHash('sha256')
        .update(Buffer.alloc(3 * MB, 'x'))
        .digest('hex'),
    );
  });
});
