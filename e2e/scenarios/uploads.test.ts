import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type Berth, startBerth } from '../harness.js';
import { measureGrowth } from '../memory.js';

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

interface Sent<Body> {
  status: number | undefined;
  body: Body;
}

type Source = () => Iterable<Buffer>;

const sendOnce = <Body>(source: Source, how: RequestOptions): Promise<Sent<Body>> =>
  new Promise((resolve, reject) => {
    // The server may close a connection that has idled while bytes were hashed here.
    const sent = request(`${berth.url}/v1/files`, { ...how, agent: false }, async (answer) => {
      let text = '';
      for await (const chunk of answer) text += chunk;
      resolve({ status: answer.statusCode, body: JSON.parse(text) });
    });
    sent.on('error', reject);
    Readable.from(source(), { objectMode: false }).pipe(sent);
  });

/** A broker that does not answer is waited for. */
const send = async <Body>(source: Source, how: RequestOptions): Promise<Sent<Body>> => {
  for (;;) {
    const sent = await sendOnce<Body>(source, how);
    if (sent.status !== 503) return sent;
  }
};

const put = (source: Source) => send<{ file_id: string }>(source, { method: 'PUT' });

const post = (source: Source) => {
  function* toForm() {
    yield Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n');
    yield* source();
    yield Buffer.from('\r\n--b--\r\n');
  }
  const headers = { 'content-type': 'multipart/form-data; boundary=b' };
  return send<{ files: { file_id: string }[] }>(toForm, { method: 'POST', headers });
};

const measure = (work: () => Promise<unknown>): Promise<number> => measureGrowth(berth.api.pid, work);

describe('600 MB', () => {
  it('go through the API in less than 50 MB of its memory, in, out, and in as a form', {
    timeout: 400_000,
  }, async () => {
    await put(createSource(20 * MB, 0));
    const source = createSource(600 * MB, 1);
    const sha256 = createHash('sha256');
    for (const chunk of source()) sha256.update(chunk);
    const expected = sha256.digest('hex');

    let file_id = '';
    const grew = await measure(async () => {
      const reply = await put(source);
      expect(reply).toMatchObject({ status: 201, body: { file_id: expected } });
      file_id = reply.body.file_id;
    });
    const back = createHash('sha256');
    const grewBack = await measure(async () => {
      const answer = await ask(`${berth.url}/v1/files/${file_id}/content`);
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) back.update(chunk);
    });
    expect(back.digest('hex')).toBe(expected);
    const grewByForm = await measure(async () => {
      expect(await post(source)).toMatchObject({ status: 200, body: { files: [{ file_id: expected }] } });
    });
    // Where it is read by a person: what was measured.
    const [into, out, form] = [grew, grewBack, grewByForm].map((bytes) => `+${Math.round(bytes / MB)} MB`);
    process.stdout.write(`600 MB in: ${into}, out: ${out}, in as a form: ${form}\n`);
    expect(Math.max(grew, grewBack, grewByForm)).toBeLessThan(50 * MB);
    await berth.request('DELETE', `/v1/files/${file_id}`);
    expect(await readdir(join(folder, 'files/.incoming'))).toEqual([]);
  });
});

describe('curl', () => {
  it('sends a file with -T, which it asks about first, and a form with -F', async () => {
    const path = join(folder, 'in.bin');
    await writeFile(path, Buffer.alloc(3 * MB, 'x'));
    const curl = async (...args: string[]): Promise<string> => {
      for (;;) {
        const { stdout } = await run('curl', ['-sS', '-i', ...args]);
        if (!/^HTTP\/1\.1 503 /m.test(stdout)) return stdout;
      }
    };
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
