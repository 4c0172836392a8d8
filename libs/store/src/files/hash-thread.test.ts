import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { createFarHash } from './hash-thread.js';

it('fails whoever asks a thread that died, before and after, and hashes again in another', async () => {
  const block = new SharedArrayBuffer(4);
  const begun = createFarHash();
  await begun.update(block, 4);
  // There is nothing to digest, which is a bug of whoever asks: the thread dies of it.
  await expect(createFarHash().digest()).rejects.toThrow();
  await expect(begun.update(block, 4)).rejects.toThrow();
  await expect(begun.digest()).rejects.toThrow();
  const next = createFarHash();
  await next.update(block, 4);
  expect(await next.digest()).toBe(createHash('sha256').update(Buffer.alloc(4)).digest('hex'));
});
