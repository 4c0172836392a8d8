import { NewerHistoryError, openHistory } from '@berth/history';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../src/migrate.js';
import { MIGRATIONS } from '../src/migrations.js';
import { databaseUrl, openTestHistory, toPrefix } from './open-test-history.js';

const openPool = (): pg.Pool => {
  const pool = new pg.Pool({ connectionString: databaseUrl() });
  onTestFinished(() => pool.end());
  return pool;
};

const readVersions = async (pool: pg.Pool, prefix: string): Promise<number[]> => {
  const text = `SELECT version FROM ${pg.escapeIdentifier(prefix)}.migrations ORDER BY 1`;
  return (await pool.query(text)).rows.map(({ version }) => version);
};
const ALL = MIGRATIONS.map((_, i) => i + 1);

describe('migrations', () => {
  it('run once, however often one starts', async () => {
    const [pool, prefix] = [openPool(), toPrefix('twice')];
    expect(await migrate(pool, prefix)).toBe(MIGRATIONS.length);
    expect(await migrate(pool, prefix)).toBe(0);
    expect(await readVersions(pool, prefix)).toEqual(ALL);
  });

  it('run once where many start at the same time', async () => {
    const [pool, prefix] = [openPool(), toPrefix('at-once')];
    const ran = await Promise.all(Array.from({ length: 8 }, () => migrate(pool, prefix)));
    expect(ran.sort((a, b) => b - a)).toEqual([MIGRATIONS.length, 0, 0, 0, 0, 0, 0, 0]);
    expect(await readVersions(pool, prefix)).toEqual(ALL);
  });

  it('are all undone where one fails, and go on from the version that there is', async () => {
    const [pool, prefix] = [openPool(), toPrefix('fails')];
    await expect(migrate(pool, prefix, ['CREATE TABLE a (b int)', 'CREATE nonsense'])).rejects.toThrow('nonsense');
    expect((await pool.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [prefix])).rows).toEqual([]);
    expect(await migrate(pool, prefix, ['CREATE TABLE a (b int)'])).toBe(1);
    expect(await migrate(pool, prefix, ['CREATE TABLE a (b int)', 'ALTER TABLE a ADD c int'])).toBe(1);
    expect(await readVersions(pool, prefix)).toEqual([1, 2]);
  });

  it('refuse a database that a later version has used', async () => {
    const [pool, prefix] = [openPool(), toPrefix('newer')];
    await migrate(pool, prefix, [...MIGRATIONS, 'CREATE TABLE later (a int)']);
    const opening = openHistory({ url: databaseUrl(), prefix, onError: () => {} });
    await expect(opening).rejects.toThrow(NewerHistoryError);
    await expect(opening).rejects.toThrow(/used by a later one/);
    expect(await readVersions(pool, prefix)).toEqual([...ALL, MIGRATIONS.length + 1]);
  });

  it('keep two installations on one database apart', async () => {
    const [one, other] = [await openTestHistory(toPrefix('A:b-c')), await openTestHistory(toPrefix('A:b-c'))];
    const fields = { state: 'completed', spec: '{"labels":{}}', class: 'small', created_at: '1', finished_at: '2' };
    const job_id = '00000000-0000-7000-8000-000000000001';
    expect(await one.save([{ job_id, fields, events: [], segments: [], output_here: false }])).toBe(1);
    expect(await one.readNewest()).toBe(job_id);
    expect(await other.readNewest()).toBeNull();
  });
});
