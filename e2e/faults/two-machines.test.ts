import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, realpathSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PUBLIC_BIND_CONSENT } from '@berth/domain';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Keeper, openKeeper } from './keeper.js';
import { createProgram, type Program } from './program.js';
import { openRedisServer, type RedisServer } from './redis.js';
import { describeFaults } from './rows.js';
import { GROUND, openSpace, openWorkerSpace, type Space } from './space.js';
import { programPath } from './worker.js';

const run = promisify(execFile);
const API = `http://${GROUND}:8000`;

/** One machine has Redis, the API and its files; the other one has an engine, and knows where the first is. */
describeFaults('a worker on a machine that shares no disk with the API', () => {
  let folder: string;
  let files: string;
  let keeper: Keeper;
  let ground: Space;
  let redis: RedisServer;
  let worker: Program;
  const programs: Program[] = [];

  const start = async (name: string, command: string[], env: Record<string, string>): Promise<Program> => {
    const [first = '', ...args] = command;
    const isReady = (output: string) => /listening|worker ready/.test(output);
    const program = createProgram({ name, command: first, args, env, folder, keeper, isReady });
    programs.push(program);
    await program.start();
    return program;
  };

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'bm-')));
    files = join(folder, 'files');
    mkdirSync(files);
    keeper = openKeeper(folder);
    ground = await openSpace(keeper, `ip addr add ${GROUND}/32 dev lo`);
    redis = await openRedisServer({ folder, keeper, ground }, {});
    const prefix = `machines-${randomBytes(3).toString('hex')}`;
    await redis.client.set(`${prefix}:installation`, prefix);
    const shared = { BERTH_PREFIX: prefix, REDIS_URL: redis.wireUrl, BERTH_LOG_LEVEL: 'info' };
    const api = [...ground.enter, process.execPath, programPath('apps/api/dist/main.js')];
    const public_bind = { BERTH_HOST: GROUND, BERTH_ALLOW_PUBLIC_BIND: PUBLIC_BIND_CONSENT };
    await start('api', api, { ...shared, ...public_bind, BERTH_PORT: '8000', BERTH_FILES: files });
    const space = await openWorkerSpace(keeper, ground, 1);
    // An empty disk where the API has its files: whatever path the worker may come to, nothing is there.
    const whole = `mount -t tmpfs tmpfs ${files} && exec "$@"`;
    const apart = [...space.enter, 'unshare', '-m', 'sh', '-c', whole, 'sh'];
    const command = [...apart, process.execPath, programPath('apps/worker/dist/main.js'), '--kill'];
    worker = await start('worker', command, { ...shared, BERTH_WORKER_PORT: '0', BERTH_URL: API });
  });
  afterAll(async () => {
    for (const program of programs.reverse()) await program.end('SIGTERM');
    redis?.client.disconnect();
    await keeper?.close();
  });

  /** From beside the API: nobody else reaches it. A broker that is slow for a moment is asked again. */
  const curl = async (...args: string[]): Promise<string> => {
    const [command = '', ...enter] = ground.enter;
    return (await run(command, [...enter, 'curl', '-sS', '--fail', '--retry', '5', ...args])).stdout;
  };

  const submit = async (spec: object): Promise<Record<string, unknown>> => {
    const { job_id } = JSON.parse(
      await curl('-H', 'content-type: application/json', '-d', JSON.stringify(spec), `${API}/v1/jobs`),
    );
    return JSON.parse(await curl(`${API}/v1/jobs/${job_id}?wait=60`));
  };

  it('runs a job with files in and out: they go through the API', async () => {
    const bytes = randomBytes(5_000_000);
    const sum = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(folder, 'in.bin'), bytes);
    const { file_id } = JSON.parse(await curl('-T', join(folder, 'in.bin'), `${API}/v1/files`));
    expect(file_id).toBe(sum);
    const job = await submit({
      command: 'mkdir out && sha256sum in.bin | tee out/sum && cp in.bin out/copy',
      inputs: [{ file_id, path: 'in.bin' }],
      outputs: ['out/**'],
    });
    expect(job).toMatchObject({ state: 'completed', stdout: `${sum}  in.bin\n` });
    const base = `${API}/v1/jobs/${job.job_id}/artifacts`;
    const { files: left } = JSON.parse(await curl(base));
    expect(left.map((file: { path: string; sha256: string }) => [file.path, file.sha256])).toEqual(
      expect.arrayContaining([['out/copy', sum]]),
    );
    expect(await curl(`${base}/out/sum`)).toBe(`${sum}  in.bin\n`);
    expect(readdirSync(files).sort()).toEqual(expect.arrayContaining(['artifacts', 'uploads']));
    const seen = await run('nsenter', ['-t', String(worker.pid), '-m', 'ls', '-A', files]);
    expect(seen.stdout).toBe('');
  });
});
