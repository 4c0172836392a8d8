import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createStore, openRedis } from '@berth/store';
import Docker from 'dockerode';
import { afterAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { Report } from '../src/report.js';
import { type VerifyOptions, verify } from '../src/verify.js';

const prefix = `verify-${process.pid}`;
const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
const docker = new Docker();
const store = createStore(redis, prefix);
const { keys } = store;
const engine = {
  worker: 'w',
  engine: 'verify-engine',
  node: 'n',
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity: { centicpus: 400, memory_mb: 4096, gpus: 0 },
};

const clear = async (): Promise<void> => {
  const found = await redis.keys(`${prefix}:*`);
  if (found.length > 0) await redis.del(...found);
};
beforeEach(clear);
afterAll(async () => {
  await clear();
  redis.disconnect();
});

const limits = { timeout_seconds: 60, max_attempts: 1, priority: 50 };
const spec = { command: 'true', image: 'busybox:stable', labels: { ledger: 'yes' }, ...limits };
const accept = () =>
  store.jobs.accept({ spec: spec as never, class: 'small', ask: { centicpus: 10, memory_mb: 16, gpus: 0 } });

/** A job that has gone the whole way, without a container. */
const complete = async (): Promise<string> => {
  const { job_id } = await accept();
  const reply = await store.claims.claim(job_id, engine);
  if (reply.kind !== 'claimed') throw new Error(reply.kind);
  await store.claims.start(reply.claim, 'sha256:1');
  const hello = { stream: 'stdout', attempt: 1, bytes: Buffer.from('hello\n') } as const;
  await store.logs.append(reply.claim, { first: 1, pieces: [hello] });
  const entry = { node: 'n', image_digest: null, started_at: null, evidence: null };
  const end = { type: 'completed', cause: null, exit_code: 0, message: null, delay_ms: 0, entry } as const;
  await store.claims.settle(reply.claim, end);
  return job_id;
};

const check = (more: Partial<VerifyOptions> = {}): Promise<Report> =>
  verify({ redis, prefix, engines: [docker], settled: true, patience_ms: 0, ...more });
const violated = (report: Report): string[] =>
  report.findings.filter(({ state }) => state === 'violated').map(({ invariant }) => invariant);

test('finds nothing wrong with a system at rest, and says what it could not look at', async () => {
  const job_id = await complete();
  const whole = {
    accepted: [job_id],
    ledger: [{ job_id, epoch: 1 }],
    events: [],
    observed: [
      { job_id, state: 'running' },
      { job_id, state: 'completed' },
    ],
    expectedLog: () => Buffer.from('hello\n'),
    faultFree: true,
  };
  const report = await check(whole);
  expect(report.lines.filter((line) => !/^I\d+ ok: /.test(line))).toEqual([]);
  const { findings } = await check();
  expect(findings.filter(({ state }) => state === 'unchecked').map(({ invariant }) => invariant)).toEqual([
    'I2',
    'I4',
    'I5',
    'I9',
    'I10',
  ]);
});

test.each<[string, string[], (job_id: string) => unknown]>([
  [
    'a job that ended twice',
    ['I1'],
    (id) => redis.rpush(keys.history(id), JSON.stringify({ seq: 5, type: 'failed', at: 1, state: 'failed', data: {} })),
  ],
  ['an end that was announced twice', ['I1'], (id) => redis.xadd(keys.events, '*', 'job', id, 'state', 'completed')],
  ['an attempt too many', ['I6'], (id) => redis.hset(keys.job(id), 'attempt', 2)],
  ['a reservation that stayed', ['I7'], () => redis.hincrby(keys.reserved(engine.engine), 'memory_mb', 16)],
  ['a lease that stayed', ['I8'], (id) => redis.zadd(keys.leases, 1, id)],
  ['a job that is still in the backlog', ['I8'], (id) => redis.zadd(keys.backlog('small'), 1, id)],
])('sees %s', async (_, invariants, tamper) => {
  const job_id = await complete();
  await store.workers.report({ ...engine, running: 0, at: Date.now() } as never);
  await tamper(job_id);
  expect(violated(await check())).toEqual(invariants);
});

test('sees what other witnesses contradict', async () => {
  const job_id = await complete();
  expect(violated(await check({ accepted: [job_id, 'another'] }))).toEqual(['I2']);
  expect(
    violated(
      await check({
        ledger: [
          { job_id, epoch: 1 },
          { job_id, epoch: 1 },
        ],
      }),
    ),
  ).toEqual(['I5']);
  expect(violated(await check({ ledger: [] }))).toEqual(['I5']);
  expect(violated(await check({ expectedLog: () => Buffer.from('hello\nworld\n') }))).toEqual(['I9']);
  expect(
    violated(
      await check({
        observed: [
          { job_id, state: 'completed' },
          { job_id, state: 'running' },
        ],
      }),
    ),
  ).toEqual(['I10']);
});

test('a job that runs is no violation, but is one at rest', async () => {
  const { job_id } = await accept();
  await store.claims.claim(job_id, engine);
  expect(violated(await check({ settled: false, accepted: [job_id] }))).toEqual([]);
  expect(violated(await check({ accepted: [job_id] }))).toEqual(['I2', 'I7', 'I8']);
});

test('sees a container that runs for a job that has ended, and one that is left', async () => {
  const job_id = await complete();
  await redis.set(keys.installation, prefix);
  const labels = {
    'berth.installation': prefix,
    'berth.job': job_id,
    'berth.epoch': '1',
    'berth.deadline': '99999999999',
  };
  const container = await docker.createContainer({
    Image: 'busybox:stable',
    Cmd: ['sleep', '600'],
    Labels: labels,
    HostConfig: { NetworkMode: 'none' },
  });
  onTestFinished(() => container.remove({ force: true }));
  expect(violated(await check())).toEqual(['I8']);
  await container.start();
  expect(violated(await check())).toEqual(['I3', 'I8']);
  expect(violated(await check({ settled: false }))).toEqual(['I3']);
  await container.pause();
  expect(violated(await check({ settled: false }))).toEqual([]);
});

test('the program says the same, with its exit code', async () => {
  const job_id = await complete();
  const folder = mkdtempSync(join(tmpdir(), 'berth-verify-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const accepted = join(folder, 'accepted');
  writeFileSync(accepted, `${job_id}\n`);
  expect(await run('--settled')).toMatchObject({ code: 2, text: expect.stringContaining('no Berth under the prefix') });
  await store.readInstallation();
  const missing = await run('--ledger', join(folder, 'nothing'));
  expect(missing).toMatchObject({ code: 2, text: expect.stringContaining('there is no') });
  const good = await run('--settled', '--accepted', accepted);
  expect(good).toMatchObject({ code: 0 });
  expect(good.text).toContain('I2 ok: every accepted job is there, and ends (1 accepted job)');
  writeFileSync(accepted, 'another\n');
  const bad = await run('--settled', '--accepted', accepted);
  expect(bad).toMatchObject({ code: 1 });
  expect(bad.text).toContain('I2 VIOLATED');
  expect(bad.text).toContain('another was accepted and is not there');
  expect(await run('--nonsense')).toMatchObject({ code: 2 });
});

const run = async (...args: string[]) => {
  const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, BERTH_PREFIX: prefix } });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      text += data;
    });
  const [code] = await once(child, 'close');
  return { code, text };
};
