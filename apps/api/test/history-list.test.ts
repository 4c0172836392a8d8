import { openHistory } from '@berth/history';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openTestApi, settleJob, startJob, type TestApi } from './open-test-api.js';

/** So many jobs, of which some have ended. What is moved, and when, is for chance to choose. */
const JOBS = 24;
const databaseUrl = (): string => process.env.BERTH_TEST_DATABASE_URL ?? '';

interface Mover {
  /** One step of the archiver, of some jobs: written, or removed. A job is removed only when it was written. */
  step(ids: string[], what: 'write' | 'remove'): Promise<void>;
}

let api: TestApi;
let ids: string[];
let mover: Mover;

/** Nothing moves by itself: the archiver has an hour. */
beforeEach(async () => {
  api = await openTestApi('history-list', { databaseUrl: databaseUrl() });
  onTestFinished(api.close);
  const history = await openHistory({ url: databaseUrl(), prefix: api.store.keys.prefix, onError: () => {} });
  onTestFinished(() => history.close());
  const written = new Set<string>();
  mover = {
    async step(some, what) {
      if (what === 'remove')
        return void (await api.store.archiving.removeArchived(
          some.filter((id) => written.has(id)),
          60,
        ));
      const stored = (await api.store.archiving.readStored(some)).filter(({ fields }) => fields.finished_at);
      await history.save(stored);
      for (const { job_id } of stored) written.add(job_id);
    },
  };
  ids = [];
  for (let i = 0; i < JOBS; i += 1) ids.push(await makeJob(i));
});

/** Of every third kind one; every fifth has not ended. */
const makeJob = async (i: number): Promise<string> => {
  const id = await api.submit({ name: `n${i % 4}`, labels: { l: `${i % 3}` }, cpus: i % 2 ? 1 : 0.5 });
  if (i % 5 === 4) return id;
  if (i % 5 === 3) {
    await api.send('POST', `/v1/jobs/${id}/cancel`);
    return id;
  }
  const failed = { type: 'failed', cause: 'exit_code', exit_code: 1 } as const;
  await settleJob(api.store, await startJob(api.store, id), i % 5 === 2 ? failed : {});
  return id;
};

const toQuery = (filter: Record<string, string | number>): string =>
  Object.entries(filter)
    .map(([name, value]) => `&${name}=${encodeURIComponent(value)}`)
    .join('');

const readPages = async (query: string, limit: number, between: () => Promise<void>): Promise<string[]> => {
  const seen: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const [page]: [{ jobs: { job_id: string }[]; next_cursor: string | null }, unknown] = await Promise.all([
      api
        .send('GET', `/v1/jobs?limit=${limit}${query}${cursor === '' ? '' : `&cursor=${cursor}`}`)
        .then(({ body }) => body),
      between(),
    ]);
    seen.push(...page.jobs.map(({ job_id }) => job_id));
    cursor = page.next_cursor;
  }
  return seen;
};

const nothing = async (): Promise<void> => {};

const FILTERS: Record<string, string | number>[] = [
  {},
  { state: 'completed' },
  { state: 'pending' },
  { cause: 'exit_code' },
  { cause: 'cancelled' },
  { class: 'small' },
  { class: 'large' },
  { label: 'l=1' },
  { label: 'l=nobody' },
  { name: 'n2' },
  { name: 'n2', state: 'completed', label: 'l=0' },
  { node: 'n' },
  { node: 'elsewhere' },
  { user: 'local' },
  { user: 'nobody' },
];

describe('GET /v1/jobs over both stores', () => {
  it('shows each job once, newest first, however they are split and while they move, for every filter and page size', async () => {
    const before = new Map<string, string[]>();
    for (const filter of FILTERS) before.set(toQuery(filter), await readPages(toQuery(filter), 200, nothing));
    expect(before.get('')).toEqual([...ids].reverse());
    expect(before.get('&cause=exit_code')).toHaveLength(5);
    expect(before.get('&node=n')).toHaveLength(15);
    const steps = fc.array(
      fc.record({ at: fc.subarray(ids.map((_, i) => i)), what: fc.constantFrom('write', 'remove') }),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...FILTERS),
        fc.integer({ min: 1, max: 30 }),
        steps,
        async (filter, limit, moves) => {
          const left = [...moves];
          const move = async () => {
            const next = left.shift();
            if (next)
              await mover.step(
                next.at.map((i) => ids[i] ?? ''),
                next.what as 'write' | 'remove',
              );
          };
          expect(await readPages(toQuery(filter), limit, move)).toEqual(before.get(toQuery(filter)));
        },
      ),
      { numRuns: 60 },
    );
    // In the end all that can be is in the archive, and it is the same list.
    await mover.step(ids, 'write');
    await mover.step(ids, 'remove');
    for (const filter of FILTERS)
      expect(await readPages(toQuery(filter), 7, nothing)).toEqual(before.get(toQuery(filter)));
  }, 120_000);

  it('finds by time alike in both', async () => {
    const rows = (await api.send('GET', '/v1/jobs?limit=200')).body.jobs as {
      job_id: string;
      created_at: string;
      finished_at: string | null;
    }[];
    const middle = rows[12]?.created_at ?? '';
    const ended = rows
      .map(({ finished_at }) => finished_at)
      .filter((at) => at !== null)
      .sort();
    const late = ended[9] ?? '';
    const queries = [
      toQuery({ created_after: middle }),
      toQuery({ created_before: middle }),
      toQuery({ finished_after: late }),
      toQuery({ finished_before: late }),
      toQuery({ finished_after: ended[3] ?? '', finished_before: late, state: 'completed' }),
      toQuery({ created_after: '2100-01-01T00:00:00+01:00' }),
      toQuery({ created_after: `${Date.parse(middle) / 1000}` }),
    ];
    const ask = () => Promise.all(queries.map((query) => readPages(query, 5, nothing)));
    const before = await ask();
    expect(before[0]).toEqual(rows.filter(({ created_at }) => created_at >= middle).map(({ job_id }) => job_id));
    expect(before[1]).toEqual(rows.filter(({ created_at }) => created_at < middle).map(({ job_id }) => job_id));
    const isLate = ({ finished_at }: { finished_at: string | null }) => finished_at !== null && finished_at >= late;
    expect(before[2]).toEqual(rows.filter(isLate).map(({ job_id }) => job_id));
    expect(before[5]).toEqual([]);
    expect(before[6]).toEqual(before[0]);
    await mover.step(ids.slice(0, 17), 'write');
    await mover.step(ids.slice(0, 12), 'remove');
    expect(await ask()).toEqual(before);
  });

  it('says what is wrong with a time', async () => {
    const { status, body } = await api.send('GET', '/v1/jobs?created_after=2026-01-01T00:00:00+01:00&cause=bad');
    expect(status).toBe(400);
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(['query.cause', 'query.created_after']);
  });
});
