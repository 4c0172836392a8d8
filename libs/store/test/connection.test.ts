import { once } from 'node:events';
import { createStore, parseRedisUrl, type RequestRedis } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { toNewJob } from './open-test-store.js';
import { bePatient, connect, program, startBroker } from './own-broker.js';
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

/** A second and a half is promised, in which a busy machine may stand still; steady work would wait until the broker is there again. */
const PROMPT_MS = 10_000;

const timed = async (work: Promise<unknown>): Promise<{ ms: number; error: unknown }> => {
  const from = performance.now();
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { ms: performance.now() - from, error };
};

describe.skipIf(!program)('a broker that does not answer', () => {
  it('fails a request soon, every one of many, and is used again once it answers', async () => {
    const running = await startBroker();
    const redis = await connect(running.url, 'request');
    const store = createStore(redis, 'test');
    const { job_id } = await createStore(await connect(running.url), 'test').jobs.accept(toNewJob());
    running.broker.kill('SIGSTOP');
    const calls = [store.ping(), store.jobs.read(job_id), store.jobs.accept(toNewJob()), store.list.list({}, 10)];
    for (const { ms, error } of await Promise.all(calls.map(timed))) {
      expect(error).toBeInstanceOf(Error);
      expect(ms).toBeLessThan(PROMPT_MS);
    }
    running.broker.kill('SIGCONT');
    bePatient(redis);
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

describe.skipIf(!program)('a process that stands still', () => {
  it('gives no request up for that: it reads the answers that came meanwhile', async () => {
    const { url } = await startBroker();
    const redis = (await connect(url, 'request')) as RequestRedis;
    redis.patience_ms = 3_000;
    const asked = [redis.ping(), redis.set('a', '1'), redis.pipeline().get('a').exec()];
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.1 * redis.patience_ms);
    expect(await Promise.all(asked)).toEqual(['PONG', 'OK', [[null, '1']]]);
  });
});

describe.skipIf(!program)('a broker that dies', () => {
  it('fails a request at once, holds steady work back, and serves both when it is there again', async () => {
    const running = await startBroker();
    const request = await connect(running.url, 'request');
    const steady = await connect(running.url, 'steady');
    const died = once(running.broker, 'exit');
    const closed = once(request, 'close');
    running.broker.kill('SIGKILL');
    await Promise.all([died, closed]);
    const { ms, error } = await timed(request.ping());
    expect(error).toBeInstanceOf(Error);
    expect(ms).toBeLessThan(PROMPT_MS);
    bePatient(request);
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
    const redis = await connect(running.url, 'request');
    bePatient(redis);
    const store = createStore(redis, 'test');
    await store.jobs.accept(toNewJob());
    await redis.script('FLUSH');
    expect((await store.jobs.accept(toNewJob())).replayed).toBe(false);
    expect((await store.list.list({}, 10)).jobs).toHaveLength(2);
  });
});
