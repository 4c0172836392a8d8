import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type ResourceClass, resourceClassesSchema } from '@berth/domain';
import { type ArtifactManifest, objectNames } from '@berth/store';
import { pack } from 'tar-stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type OpenedWorker, openRig, type Rig, untilWritten } from './open-rig.js';
import { toZip } from './zip-bytes.js';

const toClasses = (profile: 'strict' | 'standard'): ResourceClass[] =>
  resourceClassesSchema.parse([{ name: profile, max_cpus: 4, max_memory_mb: 1_024, profile }]);

const openOne = async (profile: 'strict' | 'standard', env = {}) => {
  const rig = openRig(`files-${profile}`, toClasses(profile));
  const folder = mkdtempSync(join(tmpdir(), 'berth-classes-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'classes.json');
  writeFileSync(file, JSON.stringify(toClasses(profile)));
  const worker = await rig.openWorker({}, { BERTH_CLASSES_FILE: file, ...env });
  return { rig, worker };
};

const upload = async (rig: Rig, { context }: OpenedWorker, bytes: Buffer | string): Promise<string> => {
  const object = objectNames.upload(randomUUID());
  const whole = Buffer.from(bytes);
  const source = async function* () {
    yield whole;
  };
  const { sha256 } = await context.files.put(object, source());
  await rig.store.uploads.add({ user: 'local', file_id: sha256, object, bytes: whole.length, name: null });
  return sha256;
};

const readAll = async ({ context }: OpenedWorker, name: string): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of await context.files.read(name)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

/** By path, what is in the pack of an epoch, or of a part. */
const readKept = async (worker: OpenedWorker, names: { pack: string; manifest: string }) => {
  const manifest = JSON.parse(gunzipSync(await readAll(worker, names.manifest)).toString()) as ArtifactManifest;
  const packed = await readAll(worker, names.pack);
  return Object.fromEntries(
    manifest.files.map(({ path, offset, bytes }) => [path, packed.subarray(offset, offset + bytes).toString()]),
  );
};
const ofEpoch = (job_id: string, epoch: number) => ({
  ...objectNames.outputs(job_id, epoch),
});

const toTar = async (): Promise<Buffer> => {
  const tar = pack();
  tar.entry({ name: 'sub/tool.sh', mode: 0o755 }, '#!/bin/sh\necho ran\n');
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

describe('files of a job', () => {
  test.each(['strict', 'standard'] as const)(
    'go in, unpacked where asked, and what it makes of them comes out: %s',
    async (profile) => {
      const { rig, worker } = await openOne(profile);
      const tar = await toTar();
      const zip = toZip([{ name: 'sub/tool.sh', bytes: '#!/bin/sh\necho ran\n', unix_mode: 0o100755 }]);
      const give = (bytes: Buffer | string) => upload(rig, worker, bytes);
      const inputs = [
        { file_id: await give('1,2\n'), path: 'data/deep/in.csv' },
        { file_id: await give('#!/bin/sh\ncat data/deep/in.csv\n'), path: 'run.sh', mode: 'executable' },
        { file_id: await give(tar), path: 'a', extract: true },
        { file_id: await give(gzipSync(tar)), path: 'b', extract: true },
        { file_id: await give(zip), path: 'c', extract: true },
      ];
      const command =
        './run.sh && for i in a b c; do $i/sub/tool.sh; done && mkdir out data/deep/more && cp data/deep/in.csv out/ && ' +
        'echo changed >> data/deep/in.csv && rm run.sh && ls a/sub';
      const job_id = await rig.submit({ command, inputs, outputs: ['out/**', '**/*.csv', '*.sh'], memory_mb: 64 });
      const job = await rig.untilState(job_id, 'completed');
      expect((await rig.readLog(job_id, 'stdout')).toString()).toBe('1,2\nran\nran\nran\ntool.sh\n');
      expect(job.attempts[0]?.artifacts).toMatchObject({ epoch: 1, files: 2, refused: 0, notes: [] });
      expect(await readKept(worker, ofEpoch(job_id, 1))).toEqual({
        'data/deep/in.csv': '1,2\nchanged\n',
        'out/in.csv': '1,2\n',
      });
    },
    240_000,
  );

  test('come out of each attempt of its own, also of one that failed', async () => {
    const { rig, worker } = await openOne('strict');
    const command = 'echo attempt $BERTH_ATTEMPT > a.txt; [ $BERTH_ATTEMPT = 2 ]';
    const retry = { max_attempts: 2, backoff_seconds: 0, max_backoff_seconds: 0 };
    const job_id = await rig.submit({ command, outputs: ['*.txt'], retry, memory_mb: 64 });
    const { attempts } = await rig.untilState(job_id, 'completed');
    expect(attempts.map(({ artifacts }) => artifacts?.epoch)).toEqual([1, 2]);
    expect(await readKept(worker, ofEpoch(job_id, 1))).toEqual({ 'a.txt': 'attempt 1\n' });
    expect(await readKept(worker, ofEpoch(job_id, 2))).toEqual({ 'a.txt': 'attempt 2\n' });
  }, 240_000);

  test('are kept beside places that cannot be read', async () => {
    const { rig, worker } = await openOne('strict');
    const command = 'ln -s /proc/1/root/etc out; ln -s .. up; ln -s self self; echo good > good; ln -s a b; ln -s b a';
    const outputs = ['out/passwd', 'up/**', 'up/etc/passwd', 'self/*', 'good', 'good/*.txt', 'a/b/c'];
    const job_id = await rig.submit({ command, outputs, memory_mb: 64 });
    const { attempts } = await rig.untilState(job_id, 'completed');
    expect(attempts[0]?.artifacts).toMatchObject({ files: 1, refused: 3 });
    expect(attempts[0]?.artifacts?.notes.join()).toMatch(/self: .*cannot read/);
    expect(await readKept(worker, ofEpoch(job_id, 1))).toEqual({ good: 'good\n' });
  }, 240_000);

  test('that are gone when it starts are its failure, at once and with their names', async () => {
    const { rig, worker } = await openOne('strict');
    const file_id = await upload(rig, worker, 'x');
    const known = await rig.store.uploads.read('local', file_id);
    await worker.context.files.remove(known?.object ?? '');
    const job_id = await rig.submit({ command: 'true', inputs: [{ file_id, path: 'in' }], memory_mb: 64 });
    expect(await rig.untilState(job_id, 'failed')).toMatchObject({
      cause: 'start_failed',
      epoch: 1,
      message: expect.stringContaining(`input in: the file ${file_id} is gone`),
    });
  }, 240_000);

  test('can be had while it runs, as they stand; whoever asks at the same time gets the same', async () => {
    const { rig, worker } = await openOne('strict');
    const command = 'echo one > a.txt; echo ready; while [ ! -e stop ]; do sleep 0.1; done';
    const job_id = await rig.submit({ command, outputs: ['*.txt'], memory_mb: 64 });
    await untilWritten(rig, job_id, 'ready');
    const [first, second] = await Promise.all([rig.store.partials.request(job_id), rig.store.partials.request(job_id)]);
    if (typeof first === 'string') throw new Error(first);
    expect(second).toEqual(first);
    expect(first).toMatchObject({ files: 1, bytes: 4, epoch: 1 });
    const names = {
      ...objectNames.partialOutputs(job_id, first.part),
    };
    expect(await readKept(worker, names)).toEqual({ 'a.txt': 'one\n' });
    await rig.store.jobs.cancel(job_id);
    const { attempts } = await rig.untilState(job_id, 'cancelled');
    expect(attempts[0]?.artifacts).toMatchObject({ files: 1 });
    await rig.redis.del(rig.store.keys.partialOutputs(job_id));
    expect(await rig.store.partials.request(job_id)).toBe('not_running');
    expect(await rig.store.partials.request(randomUUID())).toBe('not_running');
  }, 240_000);
});
