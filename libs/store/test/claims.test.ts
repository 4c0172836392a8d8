import { fits } from '@berth/domain';
import { type Claim, createStore, type Store } from '@berth/store';
import { describe, expect, it } from 'vitest';
import {
  claim,
  historyOf,
  openTestRedis,
  openTestStore,
  submit,
  toClaimant,
  toNewJob,
  toSettlement,
  toSpec,
} from './open-test-store.js';

const NOTHING = { centicpus: 0, memory_mb: 0, gpus: 0 };

describe('claim', () => {
  it('hands out the spec, an epoch and the share of the machine, once', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store, { cpus: 0.5, memory_mb: 128, name: 'n' });
    const first = await claim(store, id);
    expect(first).toEqual({
      job_id: id,
      epoch: 1,
      owner: 'worker-1',
      attempt: 1,
      class: 'small',
      user: 'local',
      gpu_uuids: [],
      format: 'v1',
      spec: toSpec({ cpus: 0.5, memory_mb: 128, name: 'n' }),
    });
    expect(await store.claims.claim(id, toClaimant({ worker: 'worker-2' }))).toEqual({
      kind: 'gone',
      state: 'running',
    });
    expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 50, memory_mb: 128, gpus: 0 });
    expect(await store.jobs.read(id)).toMatchObject({ state: 'running', epoch: 1, node: 'node-1', started_at: null });
    expect(await historyOf(store, id)).toEqual(['submitted', 'claimed']);
  });

  it('gives a call that is repeated the answer that it lost, and reserves once', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store, { cpus: 0.5, memory_mb: 128 });
    const first = await store.claims.claim(id, toClaimant(), 'call-1');
    expect(await store.claims.claim(id, toClaimant(), 'call-1')).toEqual(first);
    expect((await store.claims.claim(id, toClaimant(), 'call-2')).kind).toBe('gone');
    expect(await store.workers.readReserved('engine-1')).toEqual({ centicpus: 50, memory_mb: 128, gpus: 0 });
    expect(await historyOf(store, id)).toEqual(['submitted', 'claimed']);
  });

  it('notes a start once, however often it is told', async () => {
    const { store } = openTestStore('claims');
    const held = await claim(store, await submit(store));
    expect(await store.claims.start(held, 'sha256:a')).toBe('started');
    expect(await store.claims.start(held, 'sha256:a')).toBe('started');
    expect(await historyOf(store, held.job_id)).toEqual(['submitted', 'claimed', 'started']);
  });

  it('gives one of many the job', async () => {
    const { store, prefix } = openTestStore('claims');
    const other = createStore(openTestRedis(), prefix);
    const id = await submit(store);
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? store : other).claims.claim(id, toClaimant({ worker: `w${i}` }))),
    );
    expect(replies.filter((reply) => reply.kind === 'claimed')).toHaveLength(1);
    expect((await store.jobs.read(id))?.epoch).toBe(1);
  });

  it('is refused where there is no room for now, and by a machine that is not large enough', async () => {
    const { store } = openTestStore('claims');
    const [a, b, c] = [
      await submit(store, { cpus: 3 }),
      await submit(store, { cpus: 2 }),
      await submit(store, { cpus: 1, memory_mb: 8_192 }),
    ];
    const held = await claim(store, a);
    expect(await store.claims.claim(b, toClaimant())).toEqual({ kind: 'none' });
    expect(await store.claims.claim(c, toClaimant())).toEqual({ kind: 'none' });
    expect(await store.jobs.read(b)).toMatchObject({ state: 'pending', epoch: 0 });
    await store.claims.settle(held, toSettlement('completed'));
    expect((await claim(store, b)).epoch).toBe(1);
  });

  it('counts each engine by itself, and every worker of one engine together', async () => {
    const { store } = openTestStore('claims');
    await claim(store, await submit(store, { cpus: 4 }));
    const id = await submit(store, { cpus: 4 });
    expect((await store.claims.claim(id, toClaimant({ worker: 'worker-2' }))).kind).toBe('none');
    expect((await store.claims.claim(id, toClaimant({ engine: 'engine-2' }))).kind).toBe('claimed');
  });

  it('finds nothing to claim in a job that has ended or never was', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store);
    await store.jobs.cancel(id);
    expect(await store.claims.claim(id, toClaimant())).toEqual({ kind: 'gone', state: 'cancelled' });
    expect(await store.claims.claim('missing', toClaimant())).toEqual({ kind: 'gone', state: 'missing' });
    expect(await store.workers.readReserved('engine-1')).toEqual(NOTHING);
  });
});

describe('an epoch', () => {
  it('is written with its start, its end and what it cost', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store);
    const held = await claim(store, id);
    expect(await store.claims.start(held, 'sha256:abc')).toBe('started');
    const started_at = (await store.jobs.read(id))?.started_at ?? 0;
    expect(started_at).toBeGreaterThan(0);
    const evidence = {
      ...{ exit_code: 3, signal: null, oom_kills: 0, oom_flag: false },
      ...{ memory_peak_bytes: null, asked_by: null },
    };
    const entry = { node: 'node-1', image_digest: 'sha256:abc', evidence };
    const failed = { cause: 'exit_code', exit_code: 3, message: 'it said "no"\n', entry };
    expect(await store.claims.settle(held, toSettlement('failed', failed))).toEqual({
      kind: 'settled',
      state: 'failed',
    });
    const record = await store.jobs.read(id);
    const ended = { exit_code: 3, cause: 'exit_code', message: 'it said "no"\n' };
    expect(record).toMatchObject({ state: 'failed', image_digest: 'sha256:abc', started_at, ...ended });
    const { finished_at } = record ?? {};
    expect(record?.attempts).toEqual([{ attempt: 1, epoch: 1, started_at, finished_at, ...entry, ...ended }]);
    expect(await historyOf(store, id)).toEqual(['submitted', 'claimed', 'started', 'failed']);
    const totals = await store.readTotals();
    expect(totals.finished).toEqual([{ class: 'small', state: 'failed', cause: 'exit_code', count: 1 }]);
    expect([totals.runtime.get('small')?.count, totals.queue.get('small')?.count]).toEqual([1, 1]);
  });

  it('that is given back says why in its event, and nowhere else', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store);
    await store.claims.settle(await claim(store, id), toSettlement('released'));
    await store.claims.settle(await claim(store, id), toSettlement('released', { message: 'it was "away"' }));
    const given = (await store.jobs.readHistory(id)).filter(({ type }) => type === 'released');
    expect(given.map(({ data }) => data)).toEqual([
      { attempt: 1, epoch: 1 },
      { attempt: 1, epoch: 2, message: 'it was "away"' },
    ]);
    expect(await store.jobs.read(id)).toMatchObject({ state: 'pending', message: null, attempts: [] });
  });

  it('that is over is refused, whatever it says', async () => {
    const { store } = openTestStore('claims');
    const id = await submit(store);
    const old = await claim(store, id);
    await store.claims.settle(old, toSettlement('released'));
    const present = await claim(store, id, toClaimant({ worker: 'worker-2' }));
    expect(present.epoch).toBe(2);
    expect(await store.claims.start(old, 'sha256:abc')).toBe('stale');
    for (const type of ['completed', 'failed', 'cancelled', 'retried', 'released', 'lost'] as const) {
      expect(await store.claims.settle(old, toSettlement(type))).toEqual({ kind: 'stale', state: 'running' });
    }
    expect(await store.claims.renew([old])).toEqual(['over']);
    expect(await store.claims.renew([present])).toEqual(['held']);
    expect(await store.claims.settle(present, toSettlement('completed'))).toMatchObject({ kind: 'settled' });
    expect(await store.claims.settle(present, toSettlement('failed'))).toEqual({ kind: 'stale', state: 'completed' });
    expect((await store.jobs.read(id))?.state).toBe('completed');
    expect(await store.workers.readReserved('engine-1')).toEqual(NOTHING);
  });
});

/** A job's claims as its claimers saw them, and what became of them. */
interface Seen {
  epochs: number[];
  settled: string[];
}

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

const ENDS = ['completed', 'completed', 'completed', 'failed', 'retried', 'released', 'lost'] as const;

describe('4 claimers and 4 finishers on 1,000 jobs', () => {
  it('give each job one end, count the epochs, and never overbook the machine', async () => {
    const { store, prefix } = openTestStore('claims');
    const stores = [store, createStore(openTestRedis(), prefix)];
    const capacity = { centicpus: 1_000, memory_mb: 2_000, gpus: 0 };
    const sizes = Array.from({ length: 1_000 }, () => ({ cpus: pick([0.5, 1, 3]), memory_mb: pick([100, 250, 700]) }));
    const accepted = await Promise.all(sizes.map((size) => store.jobs.accept(toNewJob(size))));
    const open = new Set(accepted.map((one) => one.job_id));
    const seen = new Map<string, Seen>([...open].map((id) => [id, { epochs: [], settled: [] }]));
    const held: Claim[] = [];
    const overbooked: unknown[] = [];
    let refused = 0;

    const claimOne = async (id: string, worker: string, through: Store) => {
      const reply = await through.claims.claim(id, toClaimant({ worker, capacity }));
      if (reply.kind === 'none') {
        refused += 1;
        await new Promise(setImmediate);
      }
      if (reply.kind !== 'claimed') return;
      seen.get(id)?.epochs.push(reply.claim.epoch);
      held.push(reply.claim);
      const used = await through.workers.readReserved('engine-1');
      if (!fits(used, capacity)) overbooked.push(used);
    };
    const claimer = async (worker: string, through: Store) => {
      while (open.size > 0) await claimOne(pick([...open].slice(0, 100)), worker, through);
    };
    const settleTwice = async (one: Claim, through: Store) => {
      const twice = await Promise.all([
        through.claims.settle(one, toSettlement(pick(ENDS))),
        pick(stores).claims.settle(one, toSettlement(pick(ENDS))),
      ]);
      for (const { kind, state } of twice) {
        if (kind !== 'settled') continue;
        seen.get(one.job_id)?.settled.push(state);
        if (state !== 'pending') open.delete(one.job_id);
      }
    };
    const finisher = async (through: Store) => {
      while (open.size > 0) {
        const one = held.shift();
        await (one ? settleTwice(one, through) : new Promise(setImmediate));
      }
    };
    await Promise.all([0, 1, 2, 3].flatMap((i) => [claimer(`w${i}`, pick(stores)), finisher(pick(stores))]));

    expect(overbooked).toEqual([]);
    expect(refused).toBeGreaterThan(0);
    for (const [id, { epochs, settled }] of seen) {
      const record = await store.jobs.read(id);
      const history = await historyOf(store, id);
      expect(history.filter((type) => ['completed', 'failed', 'cancelled'].includes(type))).toEqual([record?.state]);
      expect(history.at(-1)).toBe(record?.state);
      expect(epochs).toEqual(epochs.map((_, i) => i + 1));
      expect([record?.epoch, settled.length]).toEqual([epochs.length, epochs.length]);
      expect(history).toHaveLength(1 + 2 * epochs.length);
    }
    expect(await store.workers.readReserved('engine-1')).toEqual(NOTHING);
    const counts = await store.list.countByState(['pending', 'running']);
    expect(counts).toEqual({ pending: 0, running: 0 });
    const { finished } = await store.readTotals();
    expect(finished.reduce((sum, one) => sum + one.count, 0)).toBe(1_000);
  }, 120_000);
});
