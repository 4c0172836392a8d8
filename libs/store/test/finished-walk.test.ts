import { describe, expect, it } from 'vitest';
import { openTestStore, type TestStore } from './open-test-store.js';

const toId = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** Every id that is given out, in order. */
const walk = async ({ store }: TestStore, from: number, to: number, user?: string): Promise<string[]> => {
  const ids: string[] = [];
  for await (const page of store.archiving.walkFinished({ from, to }, user)) ids.push(...page);
  return ids;
};

const addEnds = (opened: TestStore, ends: [n: number, at: number][]) =>
  opened.redis.zadd(opened.store.keys.finished, ...ends.flatMap(([n, at]) => [at, toId(n)]));

describe('finished jobs', () => {
  it('are walked once each, however many there are and however many ended in one millisecond', async () => {
    const opened = openTestStore('finished-walk');
    const ends = Array.from({ length: 2_600 }, (_, n): [number, number] => [n, n < 1_200 ? 1_000 : 1_000 + n]);
    await addEnds(opened, ends);
    expect(await walk(opened, 1_000, 9_000)).toEqual(ends.map(([n]) => toId(n)));
    expect(await walk(opened, 2_300, 2_302)).toEqual([toId(1_300), toId(1_301)]);
    expect(await walk(opened, 0, 1_000)).toEqual([]);
  });

  it('are walked though others leave meanwhile', async () => {
    const opened = openTestStore('finished-walk');
    await addEnds(
      opened,
      Array.from({ length: 1_500 }, (_, n): [number, number] => [n, n]),
    );
    const pages = opened.store.archiving.walkFinished({ from: 0, to: 9_000 });
    const ids = (await pages.next()).value as string[];
    await opened.redis.zremrangebyrank(opened.store.keys.finished, 0, 399);
    for await (const page of pages) ids.push(...page);
    expect(ids).toEqual(Array.from({ length: 1_500 }, (_, n) => toId(n)));
  });

  it('of a user are found in the index of the user, which has jobs that have not ended too', async () => {
    const opened = openTestStore('finished-walk');
    const numbers = Array.from({ length: 1_400 }, (_, n) => n);
    await addEnds(
      opened,
      numbers.map((n) => [n, 1_000 + n]),
    );
    const own = numbers.filter((n) => n % 2 === 0);
    const index = opened.store.keys.jobsOfUser('ann');
    await opened.redis.zadd(index, ...[...own, 5_000, 5_001].flatMap((n) => [0, toId(n)]));
    expect(await walk(opened, 0, 9_000, 'ann')).toEqual(own.map(toId));
    expect(await walk(opened, 1_002, 1_006, 'ann')).toEqual([toId(2), toId(4)]);
    expect(await walk(opened, 0, 9_000, 'bob')).toEqual([]);
  });
});
