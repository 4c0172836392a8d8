import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Broker, openFirst } from './broker.js';
import { toConnectable, toPrintable } from './redis-client.js';
import { brokerCommand, toContainerName } from './redis-container.js';
import { toRedisArgs } from './redis-process.js';

const broker = (url: string): Broker => ({ url, describe: url, close: async () => {}, kill: () => {} });
const never = async (): Promise<Broker> => {
  throw new Error('asked though an earlier one had it');
};

describe('openFirst', () => {
  it('takes the first that has one and asks no further', async () => {
    const found = await openFirst([async () => undefined, async () => broker('second'), never]);
    expect(found.url).toBe('second');
  });

  it('does not go on past a failure: the jobs may lie there', async () => {
    const broken = async (): Promise<Broker> => {
      throw new Error('the disk is full');
    };
    await expect(openFirst([broken, async () => broker('in memory')])).rejects.toThrow('the disk is full');
  });

  it('says what to do where there is none', async () => {
    await expect(openFirst([async () => undefined])).rejects.toThrow(/Set REDIS_URL/);
  });
});

const DURABLE = ['appendonly yes', 'appendfsync always', 'maxmemory-policy noeviction'];

describe('what a broker is told and called', () => {
  it('keeps every write and evicts nothing', () => {
    const args = toRedisArgs('/data/redis', '/data/redis/redis.sock').join(' ');
    expect(args).toContain('--port 0');
    for (const wanted of DURABLE) {
      expect(args).toContain(`--${wanted}`);
      expect(brokerCommand.join(' ')).toContain(`--${wanted}`);
    }
  });

  it("keeps every write and evicts nothing in the compose file's broker too", () => {
    const lines = readFileSync(new URL('../../../deploy/redis.conf', import.meta.url), 'utf8').split('\n');
    expect(lines).toEqual(expect.arrayContaining(DURABLE));
  });

  it('hides the password', () => {
    expect(toPrintable('redis://me:secret@host:6379/1')).toBe('redis://me:***@host:6379/1');
    expect(toPrintable('redis://:secret@host')).toBe('redis://:***@host');
    expect(toPrintable('/data/redis.sock')).toBe('/data/redis.sock');
  });

  it('hands ioredis a path where the URL names a socket', () => {
    expect(toConnectable('unix:///data/redis.sock')).toBe('/data/redis.sock');
    expect(toConnectable('rediss://host')).toBe('rediss://host');
  });

  it('names a container after the data folder', () => {
    expect(toContainerName('/a')).toMatch(/^berth-redis-[0-9a-f]{12}$/);
    expect(toContainerName('/a')).not.toBe(toContainerName('/b'));
  });
});
