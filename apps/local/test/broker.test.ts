import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Broker, openBroker } from '../src/broker.js';
import { loadConfig } from '../src/config.js';
import { findProgram } from '../src/find-program.js';
import { LocalError } from '../src/local-error.js';
import { readLeftovers } from '../src/process-record.js';
import { brokerAnswers, toConnectable } from '../src/redis-client.js';
import { waitUntil } from '../src/wait-until.js';

const { path, env } = loadConfig();
const hasServer = findProgram(['valkey-server', 'redis-server'], path) !== undefined;

let dataDir: string;
let lines: string[];
const brokers: Broker[] = [];
const clients: Redis[] = [];

const open = async (options: { redisUrl?: string; path?: string[] }): Promise<Broker> => {
  const say = (line: string) => lines.push(line);
  const redisUrl = options.redisUrl;
  const broker = await openBroker({ path: options.path ?? path, env, dataDir, redisUrl, docker: undefined, say });
  brokers.push(broker);
  return broker;
};

const connect = (broker: Broker): Redis => {
  const redis = new Redis(toConnectable(broker.url), { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  clients.push(redis);
  return redis;
};

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'berth-broker-'));
  lines = [];
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect();
  for (const broker of brokers.splice(0).reverse()) await broker.close();
  rmSync(dataDir, { recursive: true, force: true });
});

describe.skipIf(!hasServer)('a redis-server on the PATH', () => {
  it('loses no acknowledged write when it is killed, and comes back by itself', async () => {
    const redis = connect(await open({}));
    for (let index = 0; index < 100; index += 1) await redis.hset('job', `field-${index}`, index);
    const first = readLeftovers(dataDir).get('redis');
    process.kill(first?.pid ?? 0, 'SIGKILL');
    const isBack = () => {
      const now = readLeftovers(dataDir).get('redis');
      return now !== undefined && now.pid !== first?.pid;
    };
    expect(await waitUntil(isBack, { timeout_ms: 60_000 })).toBe(true);
    expect(await redis.hlen('job')).toBe(100);
    expect(lines.some((line) => line.includes('was killed by SIGKILL'))).toBe(true);
  });

  it('keeps what it holds from one start to the next', async () => {
    const first = await open({});
    await connect(first).set('kept', 'yes');
    await first.close();
    expect(await brokerAnswers(first.url)).toBe(false);
    expect(await connect(await open({})).get('kept')).toBe('yes');
  });

  it('lets nobody else in, evicts nothing and keeps records compact', async () => {
    const broker = await open({});
    expect(statSync(join(dataDir, 'redis')).mode & 0o777).toBe(0o700);
    expect(statSync(broker.url).mode & 0o777).toBe(0o700);
    const redis = connect(broker);
    const setting = async (name: string) => ((await redis.config('GET', name)) as string[])[1];
    expect(await setting('maxmemory-policy')).toBe('noeviction');
    expect(await setting('appendfsync')).toBe('always');
    expect(await setting('port')).toBe('0');
    await redis.hset('long', 'value', 'x'.repeat(2_048));
    expect(await redis.object('ENCODING', 'long')).not.toBe('hashtable');
  });

  it('finds a short place for its socket where the data folder is deep', async () => {
    const short = dataDir;
    dataDir = join(short, 'a'.repeat(60), 'b'.repeat(60));
    const broker = await open({});
    expect(await connect(broker).ping()).toBe('PONG');
    await broker.close();
    expect(statSync(broker.url, { throwIfNoEntry: false })).toBeUndefined();
    dataDir = short;
  });

  it('is preferred to nothing but REDIS_URL, which is left running', async () => {
    const mine = await open({});
    const given = await open({ redisUrl: `unix://${mine.url}` });
    expect(given.url).toBe(`unix://${mine.url}`);
    await given.close();
    expect(await brokerAnswers(mine.url)).toBe(true);
  });

  it('is refused where REDIS_URL names one that evicts, with what to do', async () => {
    const mine = await open({});
    const redis = connect(mine);
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const refused = open({ redisUrl: mine.url });
    await expect(refused).rejects.toThrow(/maxmemory-policy allkeys-lru.*config set maxmemory-policy noeviction/s);
    await expect(refused).rejects.toBeInstanceOf(LocalError);
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    expect((await open({ redisUrl: mine.url })).url).toBe(mine.url);
  });
});

describe('without a server', () => {
  it('says which REDIS_URL does not answer, without its password', async () => {
    const refused = open({ redisUrl: 'redis://:secret@127.0.0.1:1' });
    await expect(refused).rejects.toThrow('REDIS_URL is redis://:***@127.0.0.1:1, and no Redis answers there');
  });

  it('falls back to memory, loudly', async () => {
    const broker = await open({ path: [] });
    expect(lines.join('\n')).toMatch(/IN MEMORY: JOBS ARE LOST ON RESTART/);
    const redis = connect(broker);
    const claim = `if redis.call('HGET', KEYS[1], 'state') ~= 'pending' then return 0 end
      redis.call('HSET', KEYS[1], 'state', 'running')
      return redis.call('XADD', KEYS[2], '*', 'type', cjson.encode({ claimed = true }))`;
    await redis.hset('job', 'state', 'pending');
    expect(await redis.eval(claim, 2, 'job', 'events')).toMatch(/^\d+-\d+$/);
    expect(await redis.eval(claim, 2, 'job', 'events')).toBe(0);
    const [entry] = await redis.xrange('events', '-', '+');
    expect(entry?.[1]).toEqual(['type', '{"claimed":true}']);
  });
});
