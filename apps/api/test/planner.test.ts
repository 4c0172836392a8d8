import type { Claim, Claimant, Store } from '@berth/store';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Planner, startPlanner } from '../src/planner.js';
import { openTestApi, settleJob, type TestApi } from './open-test-api.js';

const CLASSES = ['small', 'medium'];
const log = pino({ level: 'silent' });

const toMachine = (engine: string, more: Partial<Claimant> = {}): Claimant => ({
  worker: `worker-${engine}`,
  engine,
  node: `node-${engine}`,
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity: { centicpus: 400, memory_mb: 8_192, gpus: 0 },
  ...more,
});

/** The API's own planner works beside the one of the test, once a second: as two replicas do. */
describe('the planner', () => {
  let api: TestApi;
  let store: Store;
  let planner: Planner;
  const tickets: Record<string, string[]> = { small: [], medium: [] };

  beforeEach(async () => {
    api = await openTestApi('planner', {}, { relay: { kick: () => undefined, close: async () => undefined } });
    store = api.store;
    planner = startPlanner({ store, classes: CLASSES, log });
    for (const name of CLASSES) tickets[name] = [];
  });
  afterEach(async () => {
    await planner.close();
    await api.close();
  });

  const beat = (machine: Claimant, classes = CLASSES) =>
    store.workers.report({
      ...machine,
      version: '1',
      engine_version: '1',
      oci_runtime: 'runc',
      classes,
      running: 0,
      started_at: 0,
    });
  const submit = (cpus: number, timeout_seconds: number, more: object = {}) =>
    api.submit({ cpus, timeout_seconds, memory_mb: 16, ...more });

  const draw = async (className: string, by: Claimant): Promise<Claim | undefined> => {
    const own = tickets[className] ?? [];
    for (;;) {
      own.push(...(await store.backlog.dispatch(className, 100, 100)).map(({ ticket }) => ticket));
      const ticket = own[0];
      if (ticket === undefined) return undefined;
      const reply = await store.claims.draw(className, ticket, by);
      if (reply.kind === 'none') return undefined;
      own.shift();
      if (reply.kind === 'claimed') {
        await store.claims.start(reply.claim, 'sha256:abc');
        return reply.claim;
      }
    }
  };
  const run = async (by: Claimant, timeout_seconds: number): Promise<Claim> => {
    const id = await submit(1, timeout_seconds);
    const claim = await draw('small', by);
    if (claim?.job_id !== id) throw new Error(`expected to run ${id}`);
    return claim;
  };
  const readReservation = async (by: Claimant) => (await store.reservations.read([by.engine]))[0];

  it('keeps a machine free for a big job whose turn it is, and lets those run in the gap that end before', async () => {
    const machine = toMachine('a');
    await beat(machine);
    const running = [await run(machine, 100), await run(machine, 1_000)];
    const big = await submit(4, 60);
    expect(await draw('medium', machine)).toBeUndefined();
    await planner.pass();
    const reservation = await readReservation(machine);
    expect(reservation).toMatchObject({ job_id: big, left: { centicpus: 0 } });
    expect((reservation?.at ?? 0) - Date.now()).toBeGreaterThan(990_000);
    expect((reservation?.at ?? 0) - Date.now()).toBeLessThan(1_020_000);

    const long = await submit(1, 5_000);
    expect(await draw('small', machine)).toBeUndefined();
    const quick = await submit(1, 500);
    const passed = await draw('small', machine);
    expect(passed?.job_id).toBe(quick);

    for (const claim of [...running, passed]) {
      await planner.pass();
      await settleJob(store, claim as Claim);
      expect(await draw('small', machine)).toBeUndefined();
    }
    await planner.pass();
    expect((await draw('medium', machine))?.job_id).toBe(big);
    expect(await readReservation(machine)).toBeUndefined();
    expect((await store.jobs.read(long))?.state).toBe('pending');
  });

  /** One small job comes, and one ends, again and again; two of four CPUs are always busy where they may. Returns whether the big one runs. */
  const flow = async (machine: Claimant): Promise<boolean> => {
    const running = [await run(machine, 600), await run(machine, 600)];
    await submit(4, 60);
    for (let i = 0; i < 6; i += 1) {
      await planner.pass();
      await submit(1, 5_000);
      const small = await draw('small', machine);
      if (small) running.push(small);
      const ended = running.shift();
      if (ended) await settleJob(store, ended);
      if (await draw('medium', machine)) return true;
    }
    return false;
  };

  it('does not let a flow of small jobs starve a big one', async () => {
    const machine = toMachine('a');
    await beat(machine);
    expect(await flow(machine)).toBe(true);
  });

  it('is why it does not starve: on a machine that it knows nothing of the small ones go on for ever', async () => {
    expect(await flow(toMachine('a'))).toBe(false);
  });

  it('lets others have what the big job leaves over, and no more', async () => {
    const machine = toMachine('a');
    await beat(machine);
    await submit(2, 100);
    expect(await draw('medium', machine)).toBeDefined();
    await submit(3, 60);
    expect(await draw('medium', machine)).toBeUndefined();
    await planner.pass();
    expect((await readReservation(machine))?.left.centicpus).toBe(100);
    await submit(1, 5_000);
    await submit(1, 5_000);
    expect(await draw('small', machine)).toBeDefined();
    expect(await draw('small', machine)).toBeUndefined();
    await planner.pass();
    expect(await draw('small', machine)).toBeUndefined();
  });

  it('keeps no machine for a job that waits for something else than room', async () => {
    const machine = toMachine('a');
    await beat(machine);
    await run(machine, 100);
    const bound = await submit(4, 60);
    await store.quotas.set({ class: 'medium' }, { max_running: 0 });
    await planner.pass();
    expect(await readReservation(machine)).toBeUndefined();
    await store.quotas.remove({ class: 'medium' });
    await api.send('POST', `/v1/jobs/${bound}/hold`);
    await submit(4, 60, { node_selector: { disk: 'ssd' } });
    await planner.pass();
    expect(await readReservation(machine)).toBeUndefined();
    await api.send('POST', `/v1/jobs/${bound}/release`);
    await store.drains.drain(machine.node);
    await planner.pass();
    expect(await readReservation(machine)).toBeUndefined();
    await store.drains.resume(machine.node);
    await planner.pass();
    expect((await readReservation(machine))?.job_id).toBe(bound);
  });

  it('gives a machine up whose job waits no more, and says that there is room', async () => {
    const machine = toMachine('a');
    await beat(machine);
    await run(machine, 100);
    const big = await submit(4, 60);
    await planner.pass();
    await submit(1, 5_000);
    expect(await draw('small', machine)).toBeUndefined();
    await api.send('POST', `/v1/jobs/${big}/cancel`);
    await planner.pass();
    expect(await readReservation(machine)).toBeUndefined();
    expect(await draw('small', machine)).toBeDefined();
  });

  it('makes a plan anew that a claim has overtaken', async () => {
    // A planner that passes by itself could keep the machine in between.
    await planner.close();
    await api.close();
    const alone = { close: async () => undefined };
    api = await openTestApi('planner', {}, { relay: { kick: () => undefined, ...alone }, planner: alone });
    store = api.store;
    const machine = toMachine('a');
    await beat(machine);
    const first = await run(machine, 100);
    const big = await submit(4, 60);
    const left = { centicpus: 0, memory_mb: 0, gpus: 0 };
    const reservation = { job_id: big, at: Date.now() + 1_000, left };
    expect(await store.reservations.reserve(machine.engine, reservation, [])).toBe(false);
    expect(await readReservation(machine)).toBeUndefined();
    expect(await store.reservations.reserve(machine.engine, reservation, [first.job_id])).toBe(true);
  });

  it('says what all machines that are there have together', async () => {
    await beat(toMachine('a'));
    await beat(toMachine('b', { capacity: { centicpus: 200, memory_mb: 1_000, gpus: 2 } }));
    await planner.pass();
    expect((await store.shares.read()).cluster).toEqual({ centicpus: 600, memory_mb: 9_192, gpus: 2 });
  });
});
