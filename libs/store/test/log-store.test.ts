import { isLogEntryId, type LogPiece, type LogStream, openChannels, openRedis, type Store } from '@berth/store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openTestStore, redisUrl } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

const piece = (text: string | Buffer, stream: LogStream = 'stdout', attempt = 1): LogPiece => ({
  stream,
  attempt,
  bytes: Buffer.from(text),
});

const readAll = async (store: Store, id: string) => {
  const entries = await store.logs.readAfter(id);
  for (let page = entries; page.length > 0; entries.push(...page)) {
    page = await store.logs.readAfter(id, entries.at(-1)?.id);
  }
  return entries;
};

describe('a log', () => {
  it('comes back byte by byte, in order, over many pages', async () => {
    const { store } = openTestStore('logs');
    const pieces = Array.from({ length: 300 }, (_, i) =>
      piece(Buffer.from([i % 256, 0, 255, 10]), i % 3 ? 'stdout' : 'stderr'),
    );
    for (let i = 0; i < 300; i += 30) await store.logs.append('a', pieces.slice(i, i + 30));
    const entries = await readAll(store, 'a');
    expect(entries.map(({ id: _, ...entry }) => entry)).toEqual(pieces);
    expect(entries.every((entry) => isLogEntryId(entry.id))).toBe(true);
  });

  it('takes a piece with a place once, and nothing of an epoch that another one has followed', async () => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('1'), piece('2')], { epoch: 1, first: 1 });
    await store.logs.append('a', [piece('1'), piece('2'), piece('3')], { epoch: 1, first: 1 });
    await store.logs.append('a', [piece('again')], { epoch: 2, first: 1 });
    await store.logs.append('a', [piece('late')], { epoch: 1, first: 4 });
    const texts = (await readAll(store, 'a')).map((entry) => entry.bytes.toString());
    expect(texts).toEqual(['1', '2', '3', 'again']);
  });

  it('is read on from any piece, and is empty where nothing was written', async () => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('1'), piece('2'), piece('note', 'note')]);
    const [first, second, third] = await store.logs.readAfter('a');
    expect((await store.logs.readAfter('a', first?.id)).map((entry) => entry.id)).toEqual([second?.id, third?.id]);
    expect(await store.logs.readAfter('a', third?.id)).toEqual([]);
    expect(await store.logs.readAfter('b')).toEqual([]);
  });

  it('is announced after it is stored, and no more once the follower has left', async () => {
    const { store } = openTestStore('logs');
    const channels = openChannels(openRedis(redisUrl(), 'blocking'));
    onTestFinished(channels.close);
    let heard = 0;
    let others = 0;
    const leave = await channels.subscribe(store.keys.logChannel('a'), () => {
      heard += 1;
    });
    await channels.subscribe(store.keys.logChannel('a'), () => {
      others += 1;
    });
    await store.logs.append('a', [piece('1'), piece('2')]);
    await waitUntil('the pieces were announced', () => heard === 1 && others === 1);
    expect(await store.logs.readAfter('a')).toHaveLength(2);
    leave();
    await store.logs.append('a', [piece('3')]);
    await waitUntil('the other heard', () => others === 2);
    expect(heard).toBe(1);
  });

  it.each(['-1', '../x', '', '1', '1-', '99999999999999999-1', '1-1\n'])('has no piece %j', (text) => {
    expect(isLogEntryId(text)).toBe(false);
  });
});

describe('the tails', () => {
  const tails = async (store: Store, max_bytes: number, attempt = 1) => {
    const { stdout, stderr } = await store.logs.readTails('a', attempt, max_bytes);
    const show = (tail: typeof stdout) => [tail.bytes.toString(), tail.truncated];
    return { stdout: show(stdout), stderr: show(stderr) };
  };

  it('hold both streams of one attempt, whole', async () => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('old', 'stdout', 1), piece('out', 'stdout', 2), piece('err', 'stderr', 2)]);
    await store.logs.append('a', [piece('put\n', 'stdout', 2)]);
    expect(await tails(store, 100, 2)).toEqual({ stdout: ['output\n', false], stderr: ['err', false] });
    expect(await tails(store, 100, 1)).toEqual({ stdout: ['old', false], stderr: ['', false] });
    expect(await tails(store, 100, 3)).toEqual({ stdout: ['', false], stderr: ['', false] });
  });

  it.each([
    [9, '123456789', false],
    [8, '23456789', true],
    [6, '456789', true],
    [3, '789', true],
  ])('of %i bytes say whether they are all', async (max_bytes, text, truncated) => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('123'), piece('456'), piece('789')]);
    expect((await tails(store, max_bytes)).stdout).toEqual([text, truncated]);
  });

  it('hold what the last epoch of an attempt wrote, and the log says where that begins', async () => {
    const { store } = openTestStore('logs');
    await store.logs.beginAnew('a', { epoch: 1, attempt: 1 });
    await store.logs.append('a', [piece('gone\n')], { epoch: 1, first: 1 });
    for (const _twice of [1, 2]) await store.logs.beginAnew('a', { epoch: 2, attempt: 1 });
    expect(await tails(store, 100)).toEqual({ stdout: ['', false], stderr: ['', false] });
    await store.logs.append('a', [piece('whole\n')], { epoch: 2, first: 1 });
    expect(await tails(store, 100)).toEqual({ stdout: ['whole\n', false], stderr: ['', false] });
    await store.logs.beginAnew('a', { epoch: 3, attempt: 2 });
    await store.logs.append('a', [piece('next\n', 'stdout', 2)], { epoch: 3, first: 1 });
    const texts = (await readAll(store, 'a')).map((entry) => entry.bytes.toString());
    expect(texts).toEqual(['gone\n', expect.stringContaining('started the job again'), 'whole\n', 'next\n']);
    expect(await tails(store, 100)).toEqual({ stdout: ['whole\n', false], stderr: ['', false] });
  });

  it('that were cut while they were written hold the mark, and say so', async () => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('out'), piece('[cut]', 'note')]);
    expect(await tails(store, 100)).toEqual({ stdout: ['out[cut]', true], stderr: ['[cut]', true] });
  });

  it('of one stream are found under a flood of the other', async () => {
    const { store } = openTestStore('logs');
    await store.logs.append('a', [piece('first')]);
    const flood = Array.from({ length: 500 }, () => piece('x'.repeat(1_000), 'stderr'));
    await store.logs.append('a', flood);
    const { stdout, stderr } = await tails(store, 65_536);
    expect(stdout).toEqual(['first', false]);
    expect(stderr).toEqual(['x'.repeat(65_536), true]);
  });
});

describe('the lines for the workload format', () => {
  it('are newest first, at most 1,000, and go by themselves', async () => {
    const { redis, store, prefix } = openTestStore('logs');
    const id = `${prefix}-lines`;
    const key = store.keys.workloadLog(id);
    onTestFinished(async () => {
      await redis.del(key);
    });
    expect(key).toBe(`job_logs:${id}`);
    await store.logs.appendWorkloadLines(id, []);
    expect(await redis.exists(key)).toBe(0);
    await store.logs.appendWorkloadLines(id, ['1', '2']);
    await store.logs.appendWorkloadLines(id, ['3']);
    expect(await redis.lrange(key, 0, -1)).toEqual(['3', '2', '1']);
    await store.logs.appendWorkloadLines(
      id,
      Array.from({ length: 1_000 }, (_, i) => `line ${i}`),
    );
    expect(await redis.llen(key)).toBe(1_000);
    expect(await redis.lindex(key, -1)).toBe('line 0');
    expect(await redis.ttl(key)).toBeGreaterThan(86_000);
  });
});
