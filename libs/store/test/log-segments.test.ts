import { FilesUnavailable, type LogEntry, type Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createMemoryFiles } from './memory-files.js';
import { openLog, piece, readAll } from './open-log.js';
import { openTestStore, toSettlement } from './open-test-store.js';

const open = () => {
  const memory = createMemoryFiles();
  return { ...memory, ...openTestStore('segments', memory.files) };
};

const textsOf = (entries: LogEntry[]): string[] => entries.map(({ bytes }) => bytes.toString());

const backwards = async (store: Store, id: string): Promise<LogEntry[]> => {
  const all: LogEntry[] = [];
  for await (const entry of store.logs.readBackwards(id)) all.push(entry);
  return all;
};

describe('sealing', () => {
  it('moves pieces out of the broker into one object, and no reader sees a difference', async () => {
    const { redis, store, objects } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('one\n'), piece('two\n', 'stderr'));
    const before = await readAll(store, id);
    expect(before.every(({ at }) => Math.abs((at ?? 0) - Date.now()) < 60_000)).toBe(true);
    const { unsealed_bytes } = await store.logs.readPosition(id, held.epoch);
    expect(await store.logs.seal(id, held)).toEqual({ kind: 'sealed', bytes: unsealed_bytes });
    expect(unsealed_bytes).toBe(2 * 64 + 8);
    expect(await redis.exists(store.keys.log(id))).toBe(0);
    expect([...objects.keys()]).toEqual([`logs/${id}/1-1-2.gz`]);
    expect(await store.logs.listSegments(id)).toMatchObject([
      { first: '1-1', last: '1-2', bytes: { stdout: 4, stderr: 4, note: 0 }, lines: { stdout: 1, stderr: 1, note: 0 } },
    ]);
    expect(await readAll(store, id)).toEqual(before);
    await append(piece('three'));
    expect(textsOf(await readAll(store, id))).toEqual(['one\n', 'two\n', 'three']);
    expect(await store.logs.readEnd(id)).toBe('1-3');
  });

  it('takes a repeated batch once although its pieces are sealed', async () => {
    const { redis, store } = open();
    const { held, id } = await openLog(store);
    await store.logs.append(held, { first: 1, pieces: [piece('1'), piece('2')] });
    await store.logs.seal(id, held);
    expect(await store.logs.append(held, { first: 1, pieces: [piece('1'), piece('2'), piece('3')] })).toBe('stored');
    expect(textsOf(await readAll(store, id))).toEqual(['1', '2', '3']);
    expect(await redis.xlen(store.keys.log(id))).toBe(1);
    expect(textsOf(await backwards(store, id))).toEqual(['3', '2', '1']);
  });

  it('is refused to whoever does not own a running job, and open to all once it has ended', async () => {
    const { store } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('text'));
    for (const by of [undefined, { ...held, owner: 'another' }, { ...held, epoch: 2 }]) {
      expect(await store.logs.seal(id, by)).toEqual({ kind: 'stale' });
    }
    expect(await store.logs.listSegments(id)).toEqual([]);
    await store.claims.settle(held, toSettlement('completed'));
    expect(await store.logs.seal(id)).toEqual({ kind: 'sealed', bytes: 64 + 4 });
    expect(await store.logs.seal(id)).toEqual({ kind: 'empty' });
  });

  it('of a worker whose job was adopted between the object and the index comes to nothing, and its heir goes on', async () => {
    const { redis, store, objects, onPut } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('a'), piece('b'));
    onPut(async () => {
      onPut(async () => {});
      await redis.hset(store.keys.job(id), 'owner', 'the heir');
      await store.logs.append({ ...held, owner: 'the heir' }, { first: 3, pieces: [piece('c')] });
    });
    expect(await store.logs.seal(id, held)).toEqual({ kind: 'stale' });
    expect([...objects.keys()]).toEqual([`logs/${id}/1-1-2.gz`]);
    expect(await store.logs.seal(id, { ...held, owner: 'the heir' })).toEqual({ kind: 'sealed', bytes: 3 * 64 + 3 });
    expect((await store.logs.listSegments(id)).map(({ object }) => object)).toEqual([`logs/${id}/1-1-3.gz`]);
    expect(textsOf(await readAll(store, id))).toEqual(['a', 'b', 'c']);
  });

  it('by two at a time, and while pieces come, keeps each piece once', async () => {
    const { store } = open();
    const { held, id, append } = await openLog(store);
    const written = async () => {
      for (let i = 0; i < 60; i += 1) await append(piece(`${i}\n`));
    };
    const sealed = async () => {
      const kinds: string[] = [];
      for (let i = 0; i < 25; i += 1) kinds.push((await store.logs.seal(id, held)).kind);
      return kinds;
    };
    const [kinds, more] = await Promise.all([sealed(), sealed(), written()]);
    expect([...kinds, ...more]).toContain('sealed');
    expect(textsOf(await readAll(store, id)).join('')).toBe(Array.from({ length: 60 }, (_, i) => `${i}\n`).join(''));
  });

  it('with the file store away changes nothing, and goes on when it is back', async () => {
    const { store, state } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('text'));
    state.away = true;
    await expect(store.logs.seal(id, held)).rejects.toThrow(FilesUnavailable);
    expect(textsOf(await readAll(store, id))).toEqual(['text']);
    state.away = false;
    await store.logs.seal(id, held);
    state.away = true;
    expect(await store.logs.readPosition(id, 1)).toMatchObject({ stdout: { bytes: 4, tail: Buffer.of() }, pieces: 1 });
    const fresh = await readAll(store, id).catch((error) => error);
    expect(fresh).toBeInstanceOf(FilesUnavailable);
    state.away = false;
    expect(textsOf(await readAll(store, id))).toEqual(['text']);
  });

  it('ends a segment where an epoch ends, so that each epoch has its own', async () => {
    const { store } = open();
    const first = await openLog(store);
    await first.append(piece('gone\n'));
    await store.claims.settle(first.held, toSettlement('released'));
    const second = await openLog(store, first.id);
    await store.logs.beginAnew(second.held);
    await second.append(piece('whole\n'));
    for (const bytes of [64 + 5, 2 * 64 + 98]) {
      expect(await store.logs.seal(first.id, second.held)).toEqual({ kind: 'sealed', bytes });
    }
    await store.logs.beginAnew(second.held);
    expect((await store.logs.listSegments(first.id)).map(({ first: from, last }) => [from, last])).toEqual([
      ['1-1', '1-1'],
      ['2-0', '2-1'],
    ]);
    expect((await store.logs.readTails(first.id, 1, 100)).stdout).toEqual({
      bytes: Buffer.from('whole\n'),
      truncated: false,
    });
    await store.claims.settle(second.held, toSettlement('released'));
    const third = await openLog(store, first.id);
    expect(await store.logs.beginAnew(third.held)).toBe('stored');
    expect(await store.logs.readEnd(first.id)).toBe('3-0');
  });
});

describe('a segment that cannot be read', () => {
  it('reads as a note where it was removed or is damaged; all else is there, and ids go on', async () => {
    const { store, objects } = open();
    const { held, id, append } = await openLog(store);
    for (const text of ['first\n', 'second\n', 'third\n']) {
      await append(piece(text));
      await store.logs.seal(id, held);
    }
    await append(piece('fourth\n'));
    objects.delete(`logs/${id}/1-1-1.gz`);
    objects.set(`logs/${id}/1-2-2.gz`, Buffer.from('nonsense'));
    expect((await readAll(store, id)).map((entry) => [entry.id, entry.stream, entry.bytes.toString()])).toEqual([
      ['1-1', 'note', '\n[berth] 6 bytes of output stood here; this part of the log has been removed.\n'],
      ['1-2', 'note', '\n[berth] 7 bytes of output stood here; this part of the log is damaged.\n'],
      ['1-3', 'stdout', 'third\n'],
      ['1-4', 'stdout', 'fourth\n'],
    ]);
    const { stdout } = await store.logs.readTails(id, 1, 13);
    expect(stdout).toEqual({ bytes: Buffer.from('third\nfourth\n'), truncated: true });
    expect(await store.logs.readPosition(id, 1)).toMatchObject({ stdout: { bytes: 26 }, pieces: 4 });
  });
});

describe('what is left when a job has ended', () => {
  it('is named to one at a time after a while, until it is sealed', async () => {
    const { redis, store } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('hi\n'));
    const silent = await openLog(store);
    for (const one of [held, silent.held]) await store.claims.settle(one, toSettlement('completed'));
    expect(await redis.zrange(store.keys.unsealed, '0', '-1')).toEqual([id]);
    expect(await store.logs.findUnsealed(60_000, 10)).toEqual([]);
    await redis.zadd(store.keys.unsealed, Date.now() - 61_000, id);
    expect(await store.logs.findUnsealed(60_000, 10)).toEqual([id]);
    expect(await store.logs.findUnsealed(60_000, 10)).toEqual([]);
    expect(await store.logs.seal(id)).toEqual({ kind: 'sealed', bytes: 64 + 3 });
    expect([await redis.exists(store.keys.log(id)), await redis.exists(store.keys.unsealed)]).toEqual([0, 0]);
    expect(textsOf(await readAll(store, id))).toEqual(['hi\n']);
  });

  it('is read by its index alone, once the record is kept elsewhere', async () => {
    const { redis, store } = open();
    const { held, id, append } = await openLog(store);
    for (const text of ['a', 'b', 'c']) {
      await append(piece(text));
      await store.logs.seal(id, held);
    }
    await redis.del(store.keys.job(id));
    expect(textsOf(await readAll(store, id))).toEqual(['a', 'b', 'c']);
    expect(textsOf(await backwards(store, id))).toEqual(['c', 'b', 'a']);
  });

  it('goes with the job', async () => {
    const { redis, store } = open();
    const { held, id, append } = await openLog(store);
    await append(piece('a'));
    await store.logs.seal(id, held);
    await append(piece('b'));
    await store.claims.settle(held, toSettlement('completed'));
    await store.retention.forget(Date.now() + 1_000);
    expect(await redis.exists(store.keys.segments(id), store.keys.log(id), store.keys.unsealed)).toBe(0);
  });
});

describe('a log of an earlier version', () => {
  it('is read, sealed and read again without times', async () => {
    const { redis, store } = open();
    const { held, id } = await openLog(store);
    await redis.xadd(store.keys.log(id), '1-1', 's', 'o', 'a', '1', 'd', 'old');
    await store.logs.append(held, { first: 2, pieces: [piece('new')] });
    const before = await readAll(store, id);
    expect(before.map(({ at, bytes }) => [at === null, bytes.toString()])).toEqual([
      [true, 'old'],
      [false, 'new'],
    ]);
    await store.logs.seal(id, held);
    expect(await readAll(store, id)).toEqual(before);
    const [segment] = await store.logs.listSegments(id);
    expect([segment?.first_at, segment?.last_at]).toEqual([before[1]?.at, before[1]?.at]);
  });
});
