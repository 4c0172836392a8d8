import { readFileSync } from 'node:fs';
import { applyEvent, EVENT_TYPES, JOB_STATES } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { openTestStore } from './open-test-store.js';

const source = new URL('../src/scripts/transition.lua', import.meta.url);
const prelude = readFileSync(source, 'utf8').replace('@BUCKET_BOUNDS_MS@', '1');
const SCRIPT = `${prelude}
local to, present = transition(ARGV[2], ARGV[3], now_ms(), '{}')
return { to or 'refused', present or 'none' }`;

describe('the edges in Lua and in the domain', () => {
  it('agree for every state and event', async () => {
    const { redis, store } = openTestStore('edges');
    for (const state of JOB_STATES) {
      for (const event of EVENT_TYPES) {
        const id = `${state}-${event}`;
        await redis.hset(store.keys.job(id), { state, class: 'small' });
        await redis.zadd(store.keys.jobsInState(state), 0, id);
        const [to] = (await redis.eval(SCRIPT, 0, store.keys.prefix, id, event)) as string[];
        expect([id, to]).toEqual([id, applyEvent(state, event) ?? 'refused']);
      }
    }
  });

  it('leave the record, its indexes and the history as they say', async () => {
    const { redis, store } = openTestStore('edges');
    for (const state of JOB_STATES) {
      for (const event of EVENT_TYPES) {
        const id = `${state}-${event}`;
        await redis.hset(store.keys.job(id), { state, class: 'small' });
        await redis.zadd(store.keys.jobsInState(state), 0, id);
        await redis.eval(SCRIPT, 0, store.keys.prefix, id, event);
        const now = applyEvent(state, event) ?? state;
        expect(await redis.hget(store.keys.job(id), 'state')).toBe(now);
        const indexed: string[] = [];
        for (const one of JOB_STATES) {
          if ((await redis.zscore(store.keys.jobsInState(one), id)) !== null) indexed.push(one);
        }
        expect(indexed).toEqual([now]);
        const history = await store.jobs.readHistory(id);
        const expected = applyEvent(state, event) === undefined ? [] : [{ seq: 1, type: event, state: now }];
        expect(history).toMatchObject(expected);
        expect(history).toHaveLength(expected.length);
      }
    }
  });

  it('refuse an event that nobody knows, and a job that is not there', async () => {
    const { redis, store } = openTestStore('edges');
    await redis.hset(store.keys.job('a'), { state: 'running', class: 'small' });
    expect(await redis.eval(SCRIPT, 0, store.keys.prefix, 'a', 'finished')).toEqual(['refused', 'running']);
    expect(await redis.eval(SCRIPT, 0, store.keys.prefix, 'b', 'claimed')).toEqual(['refused', 'none']);
    expect(await redis.exists(store.keys.job('b'))).toBe(0);
  });
});
