import { openChannels, openRedis } from '@berth/store';
import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openTestStore, redisUrl } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

const open = (name: string) => {
  const connection = openRedis(redisUrl(), 'blocking');
  connection.on('error', () => {});
  connection.options.connectionName = name;
  const channels = openChannels(connection);
  onTestFinished(channels.close);
  return channels;
};

const countSubscribers = async (redis: Redis, channel: string): Promise<number> =>
  Number((await redis.pubsub('NUMSUB', channel))[1]);

describe('channels', () => {
  it('keep the listeners of each channel apart, and one subscription for all of a channel', async () => {
    const { redis, prefix } = openTestStore('channels');
    const channels = open(prefix);
    const heard: string[] = [];
    const leaveFirst = await channels.subscribe(`${prefix}:a`, (message) => heard.push(`first ${message}`));
    const leaveSecond = await channels.subscribe(`${prefix}:a`, (message) => heard.push(`second ${message}`));
    await channels.subscribe(`${prefix}:b`, (message) => heard.push(`b ${message}`));
    await redis.publish(`${prefix}:a`, '1');
    await waitUntil('both heard it', () => heard.length === 2);
    leaveFirst();
    leaveFirst();
    await redis.publish(`${prefix}:b`, '2');
    await waitUntil('it came', () => heard.length === 3);
    expect(heard).toEqual(['first 1', 'second 1', 'b 2']);
    expect(await countSubscribers(redis, `${prefix}:a`)).toBe(1);
    leaveSecond();
    await waitUntil('nobody is left', async () => (await countSubscribers(redis, `${prefix}:a`)) === 0);
  });

  it('are there again by themselves after their connection was cut', async () => {
    const { redis, prefix } = openTestStore('channels');
    const channels = open(prefix);
    const heard: string[] = [];
    await channels.subscribe(`${prefix}:a`, (message) => heard.push(message));
    const clients = String(await redis.client('LIST')).split('\n');
    const ours = clients.filter((line) => line.includes(` name=${prefix} `));
    expect(ours).toHaveLength(1);
    await redis.client('KILL', 'ID', /^id=(\d+)/.exec(ours[0] ?? '')?.[1] ?? '');
    await waitUntil('a notice is heard again', async () => {
      await redis.publish(`${prefix}:a`, 'again');
      return heard.length > 0;
    });
    expect(heard[0]).toBe('again');
  });
});
