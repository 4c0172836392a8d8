import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createStore, openRedis, parseRedisUrl } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toNewJob } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

describe('parseRedisUrl', () => {
  it.each([
    ['/run/redis.sock', { path: '/run/redis.sock' }],
    ['unix:///run/redis.sock', { path: '/run/redis.sock' }],
    ['redis://localhost', { host: 'localhost', port: 6379, db: 0 }],
    ['redis://10.0.0.1:7000/3', { host: '10.0.0.1', port: 7000, db: 3 }],
    ['redis://[::1]:7000', { host: '::1', port: 7000, db: 0 }],
    ['redis://:p%40ss@h', { host: 'h', port: 6379, db: 0, password: 'p@ss' }],
    ['rediss://u:p@h', { host: 'h', port: 6379, db: 0, username: 'u', password: 'p', tls: {} }],
  ])('%s', (url, options) => {
    expect(parseRedisUrl(url)).toEqual(options);
  });

  it.each(['', 'localhost:6379', 'http://localhost', 'redis://h:port', 'redis.sock'])('refuses %j', (url) => {
    expect(() => parseRedisUrl(url)).toThrow('REDIS_URL must begin with');
  });

  it.each(['redis://h/x', 'redis://h/1.5', 'unix://'])('refuses %j, and never shows a password', (url) => {
    expect(() => parseRedisUrl(url)).toThrow('REDIS_URL');
  });
});

/** Where the tests run on another kind of broker there is none that they could stop. */
const program = ['redis-server', 'valkey-server'].find((name) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name))),
);

/** A broker of this test's own, which it may stop and kill. */
const startBroker = async (): Promise<{ url: string; broker: ChildProcess; start: () => Promise<void> }> => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-connection-'));
  const socket = join(folder, 'redis.sock');
  const state: { broker?: ChildProcess } = {};
  const start = async () => {
    const broker = spawn(program ?? '', ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '']);
    state.broker = broker;
    for await (const chunk of broker.stdout) if (String(chunk).includes('ready to accept')) break;
  };
  onTestFinished(async () => {
    state.broker?.kill('SIGKILL');
    if (state.broker?.exitCode === null && state.broker.signalCode === null) await once(state.broker, 'exit');
    rmSync(folder, { recursive: true });
  });
  await start();
  return {
    url: socket,
    get broker() {
      return state.broker as ChildProcess;
    },
    start,
  };
};

const timed = async (work: Promise<unknown>): Promise<{ ms: number; error: unknown }> => {
  const from = performance.now();
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { ms: performance.now() - from, error };
};

const openIdle = async (url: string, use: 'request' | 'steady') => {
  const redis = openRedis(url, use);
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  if (redis.status !== 'ready') await once(redis, 'ready');
  return redis;
};

describe.skipIf(!program)('a broker that does not answer', () => {
  it('fails a request within 2 s, every one of many, and is used again once it answers', async () => {
    const running = await startBroker();
    const store = createStore(await openIdle(running.url, 'request'), 'test');
    const { job_id } = await store.jobs.accept(toNewJob());
    running.broker.kill('SIGSTOP');
    const calls = [store.ping(), store.jobs.read(job_id), store.jobs.accept(toNewJob()), store.list.list({}, 10)];
    for (const { ms, error } of await Promise.all(calls.map(timed))) {
      expect(error).toBeInstanceOf(Error);
      expect(ms).toBeLessThan(2_000);
    }
    running.broker.kill('SIGCONT');
    await waitUntil('a request is answered', () =>
      store.ping().then(
        () => true,
        () => false,
      ),
    );
    expect((await store.jobs.read(job_id))?.state).toBe('pending');
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
  });
});

describe.skipIf(!program)('a broker that dies', () => {
  it('fails a request at once, holds steady work back, and serves both when it is there again', async () => {
    const running = await startBroker();
    const request = await openIdle(running.url, 'request');
    const steady = await openIdle(running.url, 'steady');
    const died = once(running.broker, 'exit');
    const closed = once(request, 'close');
    running.broker.kill('SIGKILL');
    await Promise.all([died, closed]);
    const { ms, error } = await timed(request.ping());
    expect(error).toBeInstanceOf(Error);
    expect(ms).toBeLessThan(1_000);
    const patient = createStore(steady, 'test').ping();
    await running.start();
    await patient;
    await waitUntil('the request connection is back', () =>
      request.ping().then(
        () => true,
        () => false,
      ),
    );
    const { job_id } = await createStore(request, 'test').jobs.accept(toNewJob());
    expect(await createStore(steady, 'test').jobs.read(job_id)).not.toBeNull();
  });

  it('loses no script: after SCRIPT FLUSH the text is sent again', async () => {
    const running = await startBroker();
    const redis = await openIdle(running.url, 'request');
    const store = createStore(redis, 'test');
    await store.jobs.accept(toNewJob());
    await redis.script('FLUSH');
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
    expect((await store.list.list({}, 10)).jobs).toHaveLength(2);
  });
});
