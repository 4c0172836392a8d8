import { readFileSync } from 'node:fs';
import { applyEvent, EVENT_TYPES, JOB_STATES } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { openTestStore } from './open-test-store.js';

const readScript = (name: string): string =>
  readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8').replace('@BUCKET_BOUNDS_MS@', '1');
const SCRIPT = `${readScript('names')}
${readScript('transition')}
local to, present = transition(ARGV[2], ARGV[3], now_ms(), '{}')
return { to or 'refused', present or 'none' }`;

const PAIRS = JOB_STATES.flatMap((state) => EVENT_TYPES.map((event) => [state, event] as const));

describe('the edges in Lua and in the domain', () => {
  it('agree for every state and event', async () => {
    const { redis, store } = openTestStore('edges');
    for (const [state, event] of PAIRS) {
      const id = `${state}-${event}`;
      await redis.hset(store.keys.job(id), { state, class: 'small' });
      const [to] = (await redis.eval(SCRIPT, 0, store.keys.prefix, id, event)) as string[];
      expect([id, to]).toEqual([id, applyEvent(state, event) ?? 'refused']);
    }
  });

  it.each(PAIRS)('leave the record, its indexes and the history of a %s job as %s says', async (state, event) => {
    const { redis, store } = openTestStore('edges');
    await redis.hset(store.keys.job('a'), { state, class: 'small', created_at: 1 });
    await redis.zadd(store.keys.jobsInState(state), 0, 'a');
    await redis.eval(SCRIPT, 0, store.keys.prefix, 'a', event);
    const to = applyEvent(state, event);
    expect(await redis.hget(store.keys.job('a'), 'state')).toBe(to ?? state);
    const scores = await Promise.all(JOB_STATES.map((one) => redis.zscore(store.keys.jobsInState(one), 'a')));
    expect(JOB_STATES.filter((_, i) => scores[i] !== null)).toEqual([to ?? state]);
    const history = (await store.jobs.readHistory('a', 1)).map(({ seq, type, state }) => ({ seq, type, state }));
    expect(history).toEqual(to === undefined ? [] : [{ seq: 1, type: event, state: to }]);
  });

  it('refuse an event that nobody knows, and a job that is not there', async () => {
    const { redis, store } = openTestStore('edges');
    await redis.hset(store.keys.job('a'), { state: 'running', class: 'small' });
    expect(await redis.eval(SCRIPT, 0, store.keys.prefix, 'a', 'finished')).toEqual(['refused', 'running']);
    expect(await redis.eval(SCRIPT, 0, store.keys.prefix, 'b', 'claimed')).toEqual(['refused', 'none']);
    expect(await redis.exists(store.keys.job('b'))).toBe(0);
  });
});
