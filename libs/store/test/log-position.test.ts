import type { Claim, Store } from '@berth/store';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openLog, piece, readAll } from './open-log.js';
import { openTestStore, toSettlement } from './open-test-store.js';

describe('the position of an epoch', () => {
  it('is the bytes of each stream, their ends, and the number of the last piece', async () => {
    const { store } = openTestStore('logs');
    const { held, id, append } = await openLog(store);
    const nothing = { bytes: 0, tail: Buffer.alloc(0) };
    expect(await store.logs.readPosition(id, 1)).toEqual({
      stdout: nothing,
      stderr: nothing,
      pieces: 0,
      complete: false,
      unsealed_bytes: 0,
    });
    const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, i) => i % 251));
    for (let at = 0; at < 3_000; at += 30) await append(piece(bytes.subarray(at, at + 30)));
    await append(piece('err', 'stderr'), piece('or', 'stderr'));
    expect(await store.logs.readPosition(id, held.epoch)).toEqual({
      stdout: { bytes: 3_000, tail: bytes.subarray(-1_024) },
      stderr: { bytes: 5, tail: Buffer.from('error') },
      pieces: 102,
      complete: false,
      unsealed_bytes: 3_005 + 102 * 64,
    });
  });

  it('counts what an older epoch wrote for nothing', async () => {
    const { store } = openTestStore('logs');
    const first = await openLog(store);
    await first.append(piece('gone'));
    await store.claims.settle(first.held, toSettlement('released'));
    const { held, id, append } = await openLog(store, first.id);
    await store.logs.beginAnew(held);
    expect(await store.logs.readPosition(id, 2)).toMatchObject({ stdout: { bytes: 0 }, pieces: 0 });
    await append(piece('12'));
    expect(await store.logs.readPosition(id, 2)).toMatchObject({ stdout: { bytes: 2 }, pieces: 1 });
    expect(await store.logs.readPosition(id, 1)).toMatchObject({ stdout: { bytes: 4 }, pieces: 1 });
  });

  it('has the bytes that could not be stored, but none of a note; what stands before a note is no end', async () => {
    const { store } = openTestStore('logs');
    const { held, id, append } = await openLog(store);
    await append(piece('12345'), piece('gap', 'note'), piece('67'));
    const lost = { ...piece('lost', 'note'), stream: 'note' as const, about: { stdout: 100, stderr: 20 } };
    await store.logs.append(held, { first: 7, pieces: [lost, piece('8'), piece('9', 'stderr')] });
    expect(await store.logs.readPosition(id, 1)).toEqual({
      stdout: { bytes: 108, tail: Buffer.from('8') },
      stderr: { bytes: 21, tail: Buffer.from('9') },
      pieces: 9,
      complete: false,
      unsealed_bytes: 16 + 6 * 64,
    });
    expect((await readAll(store, id)).map(({ stream }) => stream)).toEqual([
      'stdout',
      'note',
      'stdout',
      'note',
      'stdout',
      'stderr',
    ]);
  });

  it('is complete once the end of a long output was taken', async () => {
    const { store } = openTestStore('logs');
    const { held, id } = await openLog(store);
    const end = { ...piece('cut', 'note'), stream: 'note' as const, about: 'end' as const };
    await store.logs.append(held, { first: 1, pieces: [piece('a'), end, piece('z')] });
    expect(await store.logs.readPosition(id, 1)).toMatchObject({ complete: true });
  });
});

const OUTPUT = Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 7) % 251));

/** A worker that stores the output in pieces of the given sizes, from where the store ended when it came. */
const createWriter = async (store: Store, by: Claim, { twice }: { twice: boolean }) => {
  const { stdout, pieces } = await store.logs.readPosition(by.job_id, by.epoch);
  let at = stdout.bytes;
  let first = pieces + 1;
  return async (size: number): Promise<string> => {
    const batch = { first, pieces: [piece(OUTPUT.subarray(at, at + size))] };
    at += size;
    first += 1;
    if (twice) await store.logs.append(by, batch);
    return store.logs.append(by, batch);
  };
};

describe('two workers of one epoch', () => {
  it('any pieces, any moment of the hand-over, whatever is sent late or twice: the log is the output', async () => {
    const { redis, store } = openTestStore('logs');
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
    const shape = fc.record({ before: sizes, late: sizes, after: sizes, twice: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(shape, async ({ before, late, after, twice }) => {
        const { held, id } = await openLog(store);
        const former = await createWriter(store, held, { twice });
        for (const size of before) expect(await former(size)).toBe('stored');
        await redis.hset(store.keys.job(id), 'owner', 'the heir');
        const heir = await createWriter(store, { ...held, owner: 'the heir' }, { twice });
        const longest = Math.max(late.length, after.length);
        for (let i = 0; i < longest; i += 1) {
          if (late[i] !== undefined) expect(await former(late[i] as number)).toBe('stale');
          if (after[i] !== undefined) expect(await heir(after[i] as number)).toBe('stored');
        }
        const log = Buffer.concat((await readAll(store, id)).map((entry) => entry.bytes));
        const sum = [...before, ...after].reduce((total, size) => total + size, 0);
        expect(log.toString('hex')).toBe(OUTPUT.subarray(0, sum).toString('hex'));
      }),
      { numRuns: 60 },
    );
  });
});
