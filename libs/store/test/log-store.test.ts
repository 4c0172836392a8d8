import { type Claim, isLogEntryId, openChannels, openRedis, type Store } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLog, piece, readAll } from './open-log.js';
import { openTestStore, redisUrl, toSettlement } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

describe('a log', () => {
  it('comes back byte by byte, in order, over many pages', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    const pieces = Array.from({ length: 300 }, (_, i) =>
      piece(Buffer.from([i % 256, 0, 255, 10]), i % 3 ? 'stdout' : 'stderr'),
    );
    for (let i = 0; i < 300; i += 30) await append(...pieces.slice(i, i + 30));
    const entries = await readAll(store, id);
    expect(entries.map(({ id: _, at: __, ...entry }) => entry)).toEqual(pieces);
    expect(entries.every((entry) => isLogEntryId(entry.id))).toBe(true);
  });

  it('takes a piece once, however often it is sent', async () => {
    const { store } = openTestStore('logs');
    const { held, id } = await openLog(store);
    await store.logs.append(held, { first: 1, pieces: [piece('1'), piece('2')] });
    await store.logs.append(held, { first: 1, pieces: [piece('1'), piece('2'), piece('3')] });
    await store.logs.append(held, { first: 2, pieces: [piece('2')] });
    expect((await readAll(store, id)).map((entry) => entry.bytes.toString())).toEqual(['1', '2', '3']);
  });

  it('takes nothing from an older epoch, from another owner, or after the end', async () => {
    const { store } = openTestStore('logs');
    const { held, id } = await openLog(store);
    const stale = async (by: Pick<Claim, 'job_id' | 'epoch' | 'owner'>) => {
      const batch = { first: 9, pieces: [piece('late')], lines: ['late'] };
      expect(await store.logs.append(by, batch)).toBe('stale');
      expect(await store.logs.beginAnew({ ...by, attempt: 1 })).toBe('stale');
    };
    await stale({ ...held, owner: 'another' });
    await stale({ ...held, epoch: 2 });
    await store.claims.settle(held, toSettlement('released'));
    await stale(held);
    const next = await openLog(store, id);
    await stale(held);
    await next.append(piece('again'));
    await store.claims.settle(next.held, toSettlement('completed'));
    await stale(next.held);
    expect((await readAll(store, id)).map((entry) => entry.bytes.toString())).toEqual(['again']);
  });

  it('is stored before a settlement that is sent right behind it, also by a broker that has forgotten one of the scripts', async () => {
    const { redis, store } = openTestStore('logs');
    const another = openTestStore('logs');
    const { held, id, append } = await openLog(store);
    await append(piece('first words'));
    await store.claims.settle({ ...held, epoch: 9 }, toSettlement('completed'));
    await redis.script('FLUSH');
    await another.store.claims.settle(held, toSettlement('completed'));
    const stored = store.logs.append(held, { first: 2, pieces: [piece('last words')] });
    const settled = store.claims.settle(held, toSettlement('completed'));
    expect([await stored, (await settled).kind]).toEqual(['stored', 'settled']);
    expect(await readAll(store, id)).toHaveLength(2);
  });

  it('is read on from any piece, and is empty where nothing was written', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    await append(piece('1'), piece('2'), piece('note', 'note'));
    const [first, second, third] = await store.logs.readAfter(id);
    expect((await store.logs.readAfter(id, first?.id)).map((entry) => entry.id)).toEqual([second?.id, third?.id]);
    expect(await store.logs.readAfter(id, third?.id)).toEqual([]);
    expect(await store.logs.readAfter('b')).toEqual([]);
  });

  it('is announced after it is stored, and no more once the follower has left', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    const channels = openChannels(openRedis(redisUrl(), 'blocking'));
    onTestFinished(channels.close);
    let heard = 0;
    let others = 0;
    const leave = await channels.subscribe(store.keys.logChannel(id), () => {
      heard += 1;
    });
    await channels.subscribe(store.keys.logChannel(id), () => {
      others += 1;
    });
    await append(piece('1'), piece('2'));
    await waitUntil('the pieces were announced', () => heard === 1 && others === 1);
    expect(await store.logs.readAfter(id)).toHaveLength(2);
    leave();
    await append(piece('3'));
    await waitUntil('the other heard', () => others === 2);
    expect(heard).toBe(1);
  });

  it.each(['-1', '../x', '', '1', '1-', '99999999999999999-1', '1-1\n'])('has no piece %j', (text) => {
    expect(isLogEntryId(text)).toBe(false);
  });
});

describe('the tails', () => {
  const tails = async (store: Store, id: string, max_bytes: number, attempt = 1) => {
    const { stdout, stderr } = await store.logs.readTails(id, attempt, max_bytes);
    const show = (tail: typeof stdout) => [tail.bytes.toString(), tail.truncated];
    return { stdout: show(stdout), stderr: show(stderr) };
  };

  it('hold both streams of one attempt, whole', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    await append(piece('old', 'stdout', 1), piece('out', 'stdout', 2), piece('err', 'stderr', 2));
    await append(piece('put\n', 'stdout', 2));
    expect(await tails(store, id, 100, 2)).toEqual({ stdout: ['output\n', false], stderr: ['err', false] });
    expect(await tails(store, id, 100, 1)).toEqual({ stdout: ['old', false], stderr: ['', false] });
    expect(await tails(store, id, 100, 3)).toEqual({ stdout: ['', false], stderr: ['', false] });
  });

  it.each([
    [9, '123456789', false],
    [8, '23456789', true],
    [6, '456789', true],
    [3, '789', true],
  ])('of %i bytes say whether they are all', async (max_bytes, text, truncated) => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    await append(piece('123'), piece('456'), piece('789'));
    expect((await tails(store, id, max_bytes)).stdout).toEqual([text, truncated]);
  });

  it('hold what the last epoch of an attempt wrote, and the log says where that begins', async () => {
    const { store } = openTestStore('logs');
    const first = await openLog(store);
    const { id } = first;
    await store.logs.beginAnew(first.held);
    await first.append(piece('gone\n'));
    await store.claims.settle(first.held, toSettlement('released'));
    const second = await openLog(store, id);
    for (const _twice of [1, 2]) await store.logs.beginAnew(second.held);
    expect(await tails(store, id, 100)).toEqual({ stdout: ['', false], stderr: ['', false] });
    await second.append(piece('whole\n'));
    await store.logs.beginAnew(second.held);
    expect(await tails(store, id, 100)).toEqual({ stdout: ['whole\n', false], stderr: ['', false] });
    await store.claims.settle(second.held, toSettlement('released'));
    const third = await openLog(store, id);
    await store.logs.beginAnew({ ...third.held, attempt: 2 });
    await third.append(piece('next\n', 'stdout', 2));
    const texts = (await readAll(store, id)).map((entry) => entry.bytes.toString());
    expect(texts).toEqual(['gone\n', expect.stringContaining('started the job again'), 'whole\n', 'next\n']);
    expect(await tails(store, id, 100)).toEqual({ stdout: ['whole\n', false], stderr: ['', false] });
  });

  it('that were cut while they were written hold the mark, and say so', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    await append(piece('out'), piece('[cut]', 'note'));
    expect(await tails(store, id, 100)).toEqual({ stdout: ['out[cut]', true], stderr: ['[cut]', true] });
  });

  it('of one stream are found under a flood of the other', async () => {
    const { store } = openTestStore('logs');
    const { id, append } = await openLog(store);
    await append(piece('first'));
    await append(...Array.from({ length: 500 }, () => piece('x'.repeat(1_000), 'stderr')));
    const { stdout, stderr } = await tails(store, id, 65_536);
    expect(stdout).toEqual(['first', false]);
    expect(stderr).toEqual(['x'.repeat(65_536), true]);
  });
});

describe('the lines for the workload format', () => {
  it('come with their pieces, newest first, at most 1,000, and go by themselves', async () => {
    const { redis, store } = openTestStore('logs');
    const { held, id } = await openLog(store);
    const key = store.keys.workloadLog(id);
    onTestFinished(async () => {
      await redis.del(key);
    });
    expect(key).toBe(`job_logs:${id}`);
    await store.logs.append(held, { first: 1, pieces: [piece('x')] });
    expect(await redis.exists(key)).toBe(0);
    for (const _twice of [1, 2]) await store.logs.append(held, { first: 2, pieces: [piece('x')], lines: ['1', '2'] });
    await store.logs.append(held, { first: 3, pieces: [], lines: ['3'] });
    expect(await redis.lrange(key, 0, -1)).toEqual(['3', '2', '1']);
    const lines = Array.from({ length: 1_000 }, (_, i) => `line ${i}`);
    await store.logs.append(held, { first: 3, pieces: [piece('x')], lines });
    expect(await redis.llen(key)).toBe(1_000);
    expect(await redis.lindex(key, -1)).toBe('line 0');
    expect(await redis.ttl(key)).toBeGreaterThan(86_000);
  });
});
