import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBufferPromise } from 'yauzl';
import { type Berth, startBerth, until } from '../harness.js';
import { measureGrowth } from '../memory.js';

const run = promisify(execFile);

let berth: Berth;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-e2e-orchestrator-'));
  const env = { SERVICE_MY_EXAMPLE_RUNS_PER_USER: '1', BERTH_FILES: join(folder, 'files') };
  berth = await startBerth({ env });
});
afterAll(async () => {
  await berth?.close();
  await rm(folder, { recursive: true, force: true });
});

interface Status {
  id: number;
  status: string;
  message: string;
}

/** As the job orchestrator's own documentation tells its users to do it. A broker that does not answer is waited for. */
const curl = async (...args: string[]): Promise<string> => {
  const head = join(folder, 'head');
  for (;;) {
    const { stdout } = await run('curl', ['-s', '-S', '-D', head, ...args]);
    if (!/^HTTP\/1\.1 503 /m.test(await readFile(head, 'utf8'))) return stdout;
  }
};

const upload = async (script: string, service = 'my_example', user = 7): Promise<Status> => {
  await writeFile(join(folder, 'run.sh'), `#!/bin/bash\ntrap 'echo "$?" > .orchestrator.exit' EXIT\n${script}\n`);
  await writeFile(join(folder, 'input.txt'), 'from a file\n');
  const files = ['run.sh', 'input.txt'].flatMap((name) => ['-F', `file=@${join(folder, name)}`]);
  const fields = ['-F', `user_id=${user}`, '-F', `service=${service}`];
  return JSON.parse(await curl('-X', 'POST', `${berth.url}/upload`, ...files, ...fields));
};

const readStatus = async (id: number): Promise<Status> => JSON.parse(await curl(`${berth.url}/download/${id}`));

/** Polls as their documentation does: what is no JSON any more is the zip. */
const waitForZip = async (id: number, path = 'download'): Promise<Record<string, string>> => {
  const target = join(folder, `${id}.zip`);
  await until(`the zip of job ${id}`, async () => {
    const type = await curl('-o', target, '-w', '%{content_type}', `${berth.url}/${path}/${id}`);
    return type === 'application/zip' ? true : undefined;
  });
  const found: Record<string, string> = {};
  const zip = await fromBufferPromise(await readFile(target));
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    found[entry.fileName] = Buffer.concat(chunks).toString('utf8');
  }
  return found;
};

const waitForStatus = (id: number, status: string): Promise<Status> =>
  until(`job ${id} to be ${status}`, async () => {
    const seen = await readStatus(id);
    return seen.status === status ? seen : undefined;
  });

describe("the job orchestrator's clients", () => {
  it('upload, poll, and unzip, by curl alone', async () => {
    const queued = await upload('cat input.txt > result.txt; mkdir -p out; echo deep > out/deep.txt');
    expect(queued).toEqual({ id: queued.id, status: 'Queued', message: 'Job successfully uploaded' });
    const files = await waitForZip(queued.id);
    expect(files).toMatchObject({
      'input.txt': 'from a file\n',
      'result.txt': 'from a file\n',
      'out/deep.txt': 'deep\n',
    });
    expect(files['.orchestrator.exit']).toBe('0\n');
  });

  it('learn with which exit code a script failed, and get what it left', async () => {
    const { id } = await upload('echo half > half.txt; exit 5');
    expect(await waitForStatus(id, 'Failed')).toEqual({ id, status: 'Failed', message: 'exit code 5' });
    expect((await waitForZip(id, 'download_partial'))['half.txt']).toBe('half\n');
  });

  it('see what a running job has written, end it, and wait behind their own limit', async () => {
    const { id } = await upload('echo so far > far.txt; sleep 600 & sleep 600');
    const next = await upload('true');
    const other = await upload('true', 'my_example', 8);
    await waitForStatus(id, 'Running');
    // It runs before its script has written, and whoever asks again soon is answered the same.
    await until('what it has written', async () => {
      const files = await waitForZip(id, 'download_partial');
      return files['far.txt'] === 'so far\n' || undefined;
    });
    await waitForZip(other.id);
    expect((await readStatus(next.id)).status).toBe('Queued');
    const ended = JSON.parse(await curl('-X', 'POST', `${berth.url}/terminate/${id}`));
    expect(ended).toEqual({ id, status: 'Unknown', message: 'job terminated' });
    await waitForStatus(id, 'Killed');
    await waitForZip(next.id);
  });

  it('upload 300 MB, which the API does not hold in memory, and leave nothing where they are refused', {
    timeout: 300_000,
  }, async () => {
    const large = join(folder, 'large');
    await writeFile(large, Buffer.alloc(300_000_000, 'some text '));
    const send = async (service: string) =>
      JSON.parse(
        await curl(...['-F', `file=@${large}`, '-F', 'user_id=9', '-F', `service=${service}`, `${berth.url}/upload`]),
      );
    const listUploads = async (): Promise<string[]> =>
      (await readdir(join(folder, 'files'), { recursive: true })).filter((name) =>
        /^(uploads|\.incoming)\//.test(name),
      );
    const stored = await listUploads();
    const grew = await measureGrowth(berth.api.pid, async () => {
      expect((await send('nothing')).message).toBe('Invalid service');
      await expect.poll(listUploads, { timeout: 30_000 }).toEqual(stored);
      expect(await send('my_example')).toMatchObject({ status: 'Queued' });
    });
    expect(grew).toBeLessThan(100 * 1024 ** 2);
  });
});
