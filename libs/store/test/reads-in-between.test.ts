import { createStore, type Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { createMemoryFiles } from './memory-files.js';
import { openLog, piece } from './open-log.js';
import { openTestStore, toSettlement } from './open-test-store.js';

const READS = new Set<string | symbol>(['hget', 'hgetall', 'lrange', 'exists']);

/** A connection on which something happens right before one of the reads, the `at`th. */
const interrupt = (redis: Redis, at: number, happen: () => Promise<unknown>): Redis => {
  let [asked, last]: [number, Promise<unknown>] = [0, Promise.resolve()];
  return new Proxy(redis, {
    get(target, name) {
      const command = Reflect.get(target, name);
      if (typeof command !== 'function' || !READS.has(name)) return command;
      return (...args: unknown[]) => {
        const before = asked++ === at ? happen : async () => {};
        last = last.then(before).then(() => command.apply(target, args));
        return last;
      };
    },
  });
};

const openEnded = async () => {
  const { redis, store, prefix } = openTestStore('in-between', createMemoryFiles().files);
  const { id, held, append } = await openLog(store);
  await append(piece('out'));
  await store.claims.settle(held, toSettlement('completed'));
  const readWhile = <T>(at: number, happen: () => Promise<unknown>, read: (store: Store) => Promise<T>): Promise<T> =>
    read(createStore(interrupt(redis, at, happen), prefix));
  return { store, id, readWhile };
};

describe('a job that leaves while it is read', () => {
  it.each([0, 1])('has all its events or none (before read %i)', async (at) => {
    for (const [after_seq, count] of [
      [0, 3],
      [1, 2],
    ] as const) {
      const { store, id, readWhile } = await openEnded();
      expect(await store.jobs.readHistory(id, after_seq)).toHaveLength(count);
      const leave = () => store.archiving.removeArchived([id], 60);
      expect(await readWhile(at, leave, ({ jobs }) => jobs.readHistory(id, after_seq))).toEqual([]);
    }
  });

  it.each([0, 1, 2, 3])('is whole or not there for whoever archives it (before read %i)', async (at) => {
    const { store, id, readWhile } = await openEnded();
    const leave = () => store.archiving.removeArchived([id], 60);
    expect(await readWhile(at, leave, ({ archiving }) => archiving.readStored([id]))).toEqual([]);
  });

  it.each([0, 1, 2, 3])('has its output in Redis or in a segment while that is sealed (before read %i)', async (at) => {
    const { store, id, readWhile } = await openEnded();
    const [job] = await readWhile(
      at,
      () => store.logs.seal(id),
      ({ archiving }) => archiving.readStored([id]),
    );
    expect([job?.events.length, job?.output_here || job?.segments.length === 1]).toEqual([2, true]);
  });
});
