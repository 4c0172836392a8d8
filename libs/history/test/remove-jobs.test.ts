import type { ArchiveCut, FinishedJob, History } from '@berth/history';
import type { StoredJob } from '@berth/store';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { databaseUrl, openTestHistory, toPrefix } from './open-test-history.js';

const toId = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

const toStored = (n: number, more: Record<string, string> = {}): StoredJob => {
  const spec = JSON.stringify({ cpus: 1, memory_mb: 64, labels: { team: `a\0b "${n}"`, all: 'x' } });
  const fields = { state: 'completed', spec, class: 'small', user: 'ann', created_at: '1', finished_at: String(n) };
  const ran = { at: 0, attempt: 1, started_at: 1, finished_at: 3, outcome: 'completed' };
  const attempts = JSON.stringify(['n1', 'n2'].map((node, i) => ({ ...ran, node, epoch: i + 1 }))).slice(1, -1);
  return {
    job_id: toId(n),
    fields: { ...fields, attempts, node: 'n2', ...more },
    events: [],
    segments: [],
    output_here: false,
  };
};

const openOne = async (name: string) => {
  const prefix = toPrefix(name);
  const history = await openTestHistory(prefix);
  const pool = new pg.Pool({ connectionString: databaseUrl() });
  onTestFinished(() => pool.end());
  const countRows = async (): Promise<number[]> => {
    const tables = ['jobs', 'job_labels', 'job_usage'];
    const counts = tables.map((table) =>
      pool.query(`SELECT count(*)::int FROM ${pg.escapeIdentifier(prefix)}.${table}`),
    );
    return (await Promise.all(counts)).map(({ rows }) => rows[0].count);
  };
  return { history, countRows };
};

const findAll = async (history: History, cut: ArchiveCut, page = 100): Promise<string[]> => {
  const ids: string[] = [];
  for (let last: FinishedJob | undefined; ; ) {
    const found = await history.findFinished(cut, page, last);
    ids.push(...found.map(({ job_id }) => job_id));
    last = found.at(-1);
    if (found.length < page) return ids;
  }
};

describe('archived jobs', () => {
  it('are found by their end, user and class, page by page', async () => {
    const { history } = await openOne('cut');
    const [bob, gpu] = [{ user: 'bob' }, { class: 'gpu' }];
    await history.save([
      toStored(1),
      toStored(2, bob),
      toStored(3, gpu),
      toStored(4, { ...bob, ...gpu }),
      ...[toStored(5), toStored(6, { finished_at: '5' }), toStored(9)],
    ]);
    const find = (cut: Omit<ArchiveCut, 'finished_before'>) => findAll(history, { finished_before: 9, ...cut }, 2);
    expect(await find({})).toEqual([1, 2, 3, 4, 5, 6].map(toId));
    expect(await find({ user: 'bob' })).toEqual([2, 4].map(toId));
    expect(await find({ class: 'gpu', not_users: ['bob'] })).toEqual([toId(3)]);
    expect(await find({ not_users: ['bob', 'x'], not_classes: ['gpu'] })).toEqual([1, 5, 6].map(toId));
    expect(await find({ not_users: [], not_classes: [] })).toHaveLength(6);
    expect(await findAll(history, { finished_before: 1 })).toEqual([]);
  });

  it('go with their labels and usage, and no others do', async () => {
    const { history, countRows } = await openOne('gone');
    await history.save([toStored(1), toStored(2), toStored(3, { finished_at: '1' })]);
    expect(await countRows()).toEqual([3, 6, 6]);
    expect(await history.remove([toId(1), toId(2), toId(7)])).toBe(2);
    expect(await countRows()).toEqual([1, 2, 2]);
    expect(await history.read(toId(1))).toBeNull();
    expect((await history.read(toId(3)))?.job.job_id).toBe(toId(3));
    expect(await history.remove([toId(1)])).toBe(0);
    expect(await history.remove([])).toBe(0);
  });

  it('may be removed by several at a time', async () => {
    const { history, countRows } = await openOne('several');
    const jobs = Array.from({ length: 50 }, (_, i) => toStored(i + 1));
    await history.save(jobs);
    const ids = jobs.map(({ job_id }) => job_id);
    const removed = await Promise.all([history.remove(ids), history.remove([...ids].reverse()), history.remove(ids)]);
    expect(removed.reduce((sum, one) => sum + one, 0)).toBe(50);
    expect(await countRows()).toEqual([0, 0, 0]);
  });
});
