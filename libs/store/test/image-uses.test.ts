import { expect, it } from 'vitest';
import { openTestStore } from './open-test-store.js';

const LATER = 10_000;
const gone = async () => true;

it('an image that was removed is forgotten, and one that stayed is not', async () => {
  const { images } = openTestStore('images').store;
  for (const [at, image] of ['a', 'b'].entries()) await images.note('e', image, at + 1);
  const [a, b] = await images.listUnused('e', LATER);
  if (!a || !b) throw new Error('expected two images');
  expect([await images.remove('e', a, gone), await images.remove('e', b, async () => false)]).toEqual([true, false]);
  expect(await images.listUnused('e', LATER)).toEqual([{ image: 'b', used_at: 2 }]);
});

it('nothing is removed that was used since it was seen', async () => {
  const { images } = openTestStore('images').store;
  await images.note('e', 'a', 1);
  await images.note('e', 'a', 2);
  const work = async () => expect.unreachable();
  expect(await images.remove('e', { image: 'a', used_at: 1 }, work)).toBe(false);
});

it('a use in the middle of a removal waits for it, and is remembered', async () => {
  const { images } = openTestStore('images').store;
  await images.note('e', 'a', 1);
  const work = async () => images.note('e', 'a', 2);
  expect(await images.remove('e', { image: 'a', used_at: 1 }, work)).toBe(true);
  expect(await images.isGoing('e', 'a')).toBe(false);
  expect(await images.listUnused('e', LATER)).toEqual([{ image: 'a', used_at: 2 }]);
});
