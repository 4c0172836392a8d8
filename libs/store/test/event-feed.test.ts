import { createKeys, type EventFeed, type FeedEvent, openEventFeed, openRedis } from '@berth/store';
import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { claim, openTestStore, redisUrl, submit, toNewJob, toSettlement } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

interface Followed {
  feed: EventFeed;
  heard: (FeedEvent | 'resynced')[];
  /** What was heard of jobs, as `<job id> <event>`. */
  events: () => string[];
  resyncs: () => number;
}

/** A feed on a connection that is named like the prefix, also after it was cut. */
const follow = async (prefix: string): Promise<Followed> => {
  const redis = openRedis(redisUrl(), 'blocking');
  redis.on('error', () => {});
  redis.options.connectionName = prefix;
  await redis.client('SETNAME', prefix);
  const feed = await openEventFeed(redis, createKeys(prefix));
  onTestFinished(feed.close);
  const heard: (FeedEvent | 'resynced')[] = [];
  feed.subscribe((event) => heard.push(event));
  return {
    feed,
    heard,
    events: () => heard.flatMap((event) => (event === 'resynced' ? [] : [`${event.job_id} ${event.type}`])),
    resyncs: () => heard.filter((event) => event === 'resynced').length,
  };
};

/** The id of the feed's connection once it waits in a read, by the broker's own list. */
const findReading = async (redis: Redis, prefix: string): Promise<string | undefined> => {
  const clients = String(await redis.client('LIST')).split('\n');
  const reading = clients.find((line) => line.includes(` name=${prefix} `) && line.includes(' cmd=xread '));
  return /^id=(\d+)/.exec(reading ?? '')?.[1];
};

/** Cuts the feed's connection in the middle of a read, as a network would. */
const cut = async (redis: Redis, prefix: string): Promise<boolean> => {
  const id = await findReading(redis, prefix);
  return id !== undefined && (await redis.client('KILL', 'ID', id)) === 1;
};

describe('the event feed', () => {
  it('gives every subscriber each event of every job, with its class', async () => {
    const { store, prefix } = openTestStore('feed');
    await submit(store);
    const { feed, heard, events } = await follow(prefix);
    const others: unknown[] = [];
    const leave = feed.subscribe((event) => others.push(event));
    const { job_id } = await store.jobs.accept(toNewJob({}, { class: 'large' }));
    await store.claims.settle(await claim(store, job_id), toSettlement('failed', { exit_code: 3 }));
    await waitUntil('three events came', () => heard.length >= 3);
    expect(events()).toEqual([`${job_id} submitted`, `${job_id} claimed`, `${job_id} failed`]);
    expect(heard[2]).toMatchObject({ class: 'large', seq: 3, state: 'failed', data: { exit_code: 3, epoch: 1 } });
    expect(others).toEqual(heard);
    leave();
    await store.jobs.accept(toNewJob());
    await waitUntil('a fourth came', () => heard.length === 4);
    expect(others).toHaveLength(3);
  });

  it('misses nothing while its connection is cut again and again, and says that it was', async () => {
    const { redis, store, prefix } = openTestStore('feed');
    const { events, resyncs } = await follow(prefix);
    const ids: string[] = [];
    let cuts = 0;
    for (let round = 0; round < 5; round++) {
      await waitUntil('the feed reads', () => cut(redis, prefix));
      cuts += 1;
      for (let i = 0; i < 50; i++) ids.push(await submit(store));
      await waitUntil(`break ${cuts} is announced`, () => resyncs() >= cuts);
    }
    await waitUntil('all events came', () => events().length >= ids.length);
    expect(events()).toEqual(ids.map((id) => `${id} submitted`));
  });

  it('says that it was cut though nothing happens afterwards', async () => {
    const { redis, prefix } = openTestStore('feed');
    const { heard } = await follow(prefix);
    await waitUntil('the feed reads', () => cut(redis, prefix));
    await waitUntil('the break is announced', () => heard.length > 0);
    expect(heard).toEqual(['resynced']);
  });

  it('closes at once though it is waiting', async () => {
    const { redis, prefix } = openTestStore('feed');
    const { feed } = await follow(prefix);
    await waitUntil('the feed reads', async () => (await findReading(redis, prefix)) !== undefined);
    const from = performance.now();
    await feed.close();
    // A read waits for 5 s.
    expect(performance.now() - from).toBeLessThan(4_500);
  });
});
