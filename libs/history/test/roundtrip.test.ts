import { randomUUID } from 'node:crypto';
import { jobSpecSchema, toAsk } from '@berth/domain';
import type { History } from '@berth/history';
import type { Claim, NewJob, Settlement, Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { openTestHistory, openTestStore, toPrefix } from './open-test-history.js';

const toNewJob = (fields: object = {}, more: Partial<NewJob> = {}): NewJob => {
  const parsed = jobSpecSchema.parse({ command: ['true'], ...fields });
  const spec = { ...parsed, image: parsed.image ?? 'busybox:stable' };
  return { spec, class: 'small', ask: toAsk(spec), ...more };
};

const claim = async (store: Store, job_id: string, node = 'n'): Promise<Claim> => {
  const capacity = { centicpus: 1_000_000, memory_mb: 10_000_000, gpus: 0 };
  const by = {
    worker: 'w',
    engine: `engine of ${node}`,
    node,
    labels: {},
    region: 'default',
    datacenter: 'default',
    gpus: [],
    capacity,
  };
  const reply = await store.claims.claim(job_id, by);
  if (reply.kind !== 'claimed') throw new Error(JSON.stringify(reply));
  await store.claims.start(reply.claim, 'sha256:abc');
  return reply.claim;
};

const USAGE = {
  ...{
    at: 1_700_000_000_000,
    cpu_seconds: 1.25,
    memory_peak_bytes: 1e9,
    network_rx_bytes: null,
    network_tx_bytes: null,
  },
  ...{ block_read_bytes: 0, block_write_bytes: 5 },
};

const settle = (store: Store, claimed: Claim, more: Partial<Settlement> = {}) =>
  store.claims.settle(claimed, {
    ...{ type: 'completed', cause: null, exit_code: 0, message: null, delay_ms: 0, usage: USAGE },
    entry: { node: 'n', image_digest: 'sha256:abc', evidence: null },
    ...more,
  });

/** One job of each kind that there is; returns their ids. */
const endJobsOfAllKinds = async (store: Store): Promise<string[]> => {
  const accept = async (job: NewJob) => (await store.jobs.accept(job)).job_id;
  const run = async (job: NewJob, more: Partial<Settlement> = {}) => {
    const id = await accept(job);
    await settle(store, await claim(store, id), more);
    return id;
  };
  const plain = await run(
    toNewJob({ name: 'n é "q"', labels: { a: 'b=c é', d: '/"\\' }, env: { z: '1', T: 'a\nb "é"' } }),
  );
  const failed = await run(toNewJob(), {
    type: 'failed',
    cause: 'exit_code',
    exit_code: 7,
    message: 'no\u0000 \ud800 good',
  });
  const kept = await run(toNewJob({}, { format: 'workload', request: { docker_image: 'x', env: { B: '1', A: '2' } } }));
  const requeued = await run(toNewJob({}, { requeued_from: plain, user: 'ann', idempotency: { key: 'k', body: 'b' } }));
  const cancelled = await accept(toNewJob({ hold: true }, { hold: true, user: 'bob' }));
  await store.jobs.cancel(cancelled);
  const retried = await accept(toNewJob({ max_attempts: 3 }));
  await settle(store, await claim(store, retried, 'node-1'), {
    type: 'retried',
    cause: 'exit_code',
    exit_code: 1,
    entry: { node: 'node-1', image_digest: null, evidence: null },
  });
  await settle(store, await claim(store, retried, 'node-2'), {
    entry: { node: 'node-2', image_digest: null, evidence: null },
  });
  const parent = await accept(toNewJob());
  const dependant = await accept(toNewJob({ after: [{ job: parent, condition: 'completed' }] }));
  await store.jobs.cancel(parent);
  const { array_id } = await store.arrays.add({ job: toNewJob({ name: 'many' }), array: { size: 2 } });
  await store.arrays.expand(array_id);
  const array = await store.arrays.read(array_id);
  const entries = array ? (await store.arrayList.readEntries(array, { limit: 10 })).entries : [];
  const indices = entries.map(({ job_id }) => String(job_id));
  for (const id of indices) await settle(store, await claim(store, id));
  return [plain, failed, kept, requeued, cancelled, retried, parent, dependant, ...indices];
};

const readAll = (store: Store, ids: string[]) =>
  Promise.all(ids.map(async (id) => ({ job: await store.jobs.read(id), events: await store.jobs.readHistory(id) })));

const readAllArchived = (history: History, ids: string[]) =>
  Promise.all(ids.map(async (id) => ({ job: (await history.read(id))?.job, events: await history.readEvents(id) })));

describe('the archive', () => {
  it('gives back every kind of job, with its history, exactly as it stood in Redis', async () => {
    const prefix = toPrefix('kinds');
    const { store, redis } = openTestStore(prefix);
    const history = await openTestHistory(prefix);
    const ids = await endJobsOfAllKinds(store);
    const [plain = ''] = ids;
    await redis.rpush(store.keys.segments(plain), '{"n":1}', '{"n":2}');
    const before = await readAll(store, ids);
    expect(before.every(({ job }) => job?.finished_at)).toBe(true);
    const stored = await store.archiving.readStored(ids);
    expect(await history.save(stored)).toBe(ids.length);
    expect(await store.archiving.removeArchived(ids, 60)).toBe(ids.length);
    expect((await readAll(store, ids)).flatMap(({ job, events }) => [...(job ? [job] : []), ...events])).toEqual([]);
    const after = await readAllArchived(history, ids);
    expect(after).toEqual(before);
    expect(JSON.stringify(after)).toBe(JSON.stringify(before));
    expect((await history.read(plain))?.segments).toEqual(['{"n":1}', '{"n":2}']);
    expect((await history.readEvents(plain, 2)).map(({ seq }) => seq)).toEqual([3, 4]);
  });

  it('takes a job once, whoever brings it again, and says of others that they are not there', async () => {
    const prefix = toPrefix('once');
    const { store } = openTestStore(prefix);
    const history = await openTestHistory(prefix);
    const ids = await endJobsOfAllKinds(store);
    const stored = await store.archiving.readStored(ids);
    const added = await Promise.all(
      Array.from({ length: 6 }, (_, i) => history.save(i % 2 ? [...stored].reverse() : stored)),
    );
    expect(added.reduce((sum, one) => sum + one, 0)).toBe(ids.length);
    expect(await history.list({}, { limit: 100 })).toHaveLength(ids.length);
    const nobody = randomUUID();
    expect([await history.read(nobody), await history.readEvents(nobody)]).toEqual([null, []]);
    const states = await history.readStates([ids[1] ?? '', nobody]);
    expect(states).toEqual([{ job_id: ids[1], user: 'local', state: 'failed' }]);
  });

  it('leaves an array its jobs, and an Idempotency-Key its job, when they go there', async () => {
    const prefix = toPrefix('leaves');
    const { store } = openTestStore(prefix);
    const ids = await endJobsOfAllKinds(store);
    const [array] = (await store.arrayList.list(undefined, 1)).arrays;
    if (!array) throw new Error('there is no array');
    await store.archiving.removeArchived(ids, 60);
    const { entries } = await store.arrayList.readEntries(array, { limit: 10 });
    expect(entries.map(({ job_id }) => job_id)).toEqual(ids.slice(-2));
    const again = await store.jobs.accept(toNewJob({}, { user: 'ann', idempotency: { key: 'k', body: 'b' } }));
    expect(again).toMatchObject({ job_id: ids[3], replayed: true });
    expect(await store.archiving.readNewestArchived()).toBe([...ids].sort().at(-1));
  });
});
