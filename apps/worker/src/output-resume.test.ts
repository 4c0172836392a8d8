import type { LogBatch, StoredPosition } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createFakeLogs, createLogBook } from '../test/fakes.js';
import { openOutput } from './output.js';

const open = (limitBytes: number, logs = createFakeLogs(), from?: StoredPosition) => {
  const book = createLogBook();
  const output = openOutput({
    claim: { job_id: 'job-1', epoch: 1, owner: 'worker-1', attempt: 3 },
    limitBytes,
    logs: logs.logs,
    log: book.log,
    workloadLines: from !== undefined,
    ...(from ? { from } : {}),
  });
  return { ...logs, output, book };
};

const toStored = (stdout: string, fields: Partial<StoredPosition> = {}): StoredPosition => ({
  stdout: { bytes: stdout.length, tail: Buffer.from(stdout) },
  stderr: { bytes: 0, tail: Buffer.alloc(0) },
  pieces: 4,
  complete: false,
  unsealed_bytes: 0,
  ...fields,
});

describe('output that another worker takes up', () => {
  it('is stored as it is by whoever leaves: no note, no end, no half character, and nothing more', async () => {
    const it = open(10);
    it.output.sink('stdout', Buffer.from('12345€').subarray(0, 7));
    it.output.sink('stderr', Buffer.from('more than the limit'));
    await it.output.detach();
    expect([it.textOf('stdout'), it.textOf('stderr'), it.textOf('note')]).toEqual(['12345', 'mor', '']);
    it.output.sink('stdout', Buffer.from('late'));
    it.output.onGap();
    await it.output.close();
    await it.output.detach();
    expect(it.pieces).toHaveLength(2);
  });

  it('goes on with the next piece, the same limit and the line that had begun', async () => {
    const batches: LogBatch[] = [];
    const append = async (_claim: unknown, batch: LogBatch) => {
      batches.push(batch);
      return 'stored' as const;
    };
    const { output } = open(20, createFakeLogs({ append }), toStored('one\ntwo thr'));
    output.sink('stdout', Buffer.from('ee\n4567890'));
    await output.close();
    expect(batches).toHaveLength(1);
    expect(batches[0]).toMatchObject({
      first: 5,
      pieces: [{ bytes: Buffer.from('ee\n456789') }, { bytes: Buffer.from('0') }],
    });
    const lines = batches[0]?.lines?.map((line) => line.slice(line.indexOf('] ') + 2));
    expect(lines).toEqual(['two three', '456789']);
  });

  it('whose end was stored already takes nothing more', async () => {
    const { output, pieces } = open(10, createFakeLogs(), toStored('one', { complete: true }));
    output.sink('stdout', Buffer.from('again'));
    output.onGap();
    await output.close();
    expect(pieces).toEqual([]);
  });

  it('has a note where the engine has thrown something away', async () => {
    const it = open(20);
    it.output.sink('stdout', Buffer.from('before'));
    it.output.onGap();
    it.output.sink('stdout', Buffer.from('after'));
    await it.output.close();
    expect(it.textOf('stdout', 'note')).toBe(
      'before\n[berth] output is missing here: the engine was away, or had thrown it away before it could be read.\nafter',
    );
  });

  it('beyond the limit: the end is one piece, behind what is missing', async () => {
    const it = open(5);
    it.output.sink('stdout', Buffer.from('12345 dropped'));
    it.output.onGap();
    it.output.sink('stdout', Buffer.from('the end'));
    await it.output.close();
    expect(it.textOf('stdout', 'note')).toMatch(
      /^12345\n.* missing here.*\n\n.*8 bytes of output were cut here.*\nthe end$/,
    );
    expect(it.pieces.find((piece) => 'about' in piece)).toMatchObject({ about: 'end' });
  });

  it('is sent no more once the epoch is somebody else’s', async () => {
    let appends = 0;
    const append = async () => {
      appends += 1;
      return 'stale' as const;
    };
    const it = open(1_000_000, createFakeLogs({ append }));
    for (let i = 0; i < 3; i += 1) {
      it.output.sink('stdout', Buffer.alloc(70_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await it.output.close();
    expect(appends).toBe(1);
    expect(it.book.lines).toEqual([]);
  });

  it('notes with what was lost how much of each stream', async () => {
    const kept = createFakeLogs();
    let appends = 0;
    const append: typeof kept.logs.append = async (claim, batch) => {
      appends += 1;
      if (appends <= 2) throw new Error('OOM');
      return kept.logs.append(claim, batch);
    };
    const { output } = open(1_000_000, createFakeLogs({ append }));
    for (const stream of ['stdout', 'stderr', 'stdout'] as const) {
      output.sink(stream, Buffer.alloc(70_000, 'x'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await output.close();
    expect(kept.pieces).toMatchObject([{ about: { stdout: 70_000, stderr: 70_000 } }, { stream: 'stdout' }]);
  });
});
