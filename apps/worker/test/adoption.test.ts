import Docker from 'dockerode';
import { describe, expect, it, vi } from 'vitest';
import {
  ADOPTION_LIMIT_MS,
  NOTHING,
  type OpenedWorker,
  openRig,
  type Rig,
  untilOwned,
  untilStarted,
  untilWritten,
} from './open-rig.js';

const ADOPTED = ['submitted', 'claimed', 'started', 'adopted', 'completed'];
const NARROW = { cpus: 0.2, memory_mb: 32 };
const TIMEOUT_MS = 21_000;

/** Counts on both streams, a line each every 20 ms, until `endCounter` tells it to end, with the given code. */
const toCounter = (exit_code = 0) => ({
  command: [
    'trap "go=" USR1',
    'go=on; i=0',
    'while [ $go ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); sleep 0.02; done',
    `echo "last $i"; exit ${exit_code}`,
  ].join('\n'),
  ...NARROW,
});

const endCounter = (id: string) => new Docker().getContainer(id).kill({ signal: 'SIGUSR1' });

/** The whole log of a counter is there, in order, each byte once; returns how far it has counted. */
const expectWholeLog = async (rig: Rig, job_id: string): Promise<number> => {
  const stdout = (await rig.readLog(job_id, 'stdout')).toString();
  const count = Number(stdout.match(/last (\d+)\n$/)?.[1]);
  const toLines = (word: string) => Array.from({ length: count }, (_, i) => `${word} ${i}\n`).join('');
  expect(stdout).toBe(`${toLines('out')}last ${count}\n`);
  expect((await rig.readLog(job_id, 'stderr')).toString()).toBe(toLines('err'));
  expect(await rig.readLog(job_id, 'note')).toEqual(Buffer.alloc(0));
  return count;
};

const inspectOnly = async ({ context }: OpenedWorker) => {
  const [found, ...more] = await context.runtime.list();
  expect(more).toEqual([]);
  const { Id, State } = await new Docker().getContainer(found?.id ?? '').inspect();
  return { id: Id, started: State.StartedAt, pid: State.Pid };
};

describe('a job whose worker goes', () => {
  it.each(['leaves', 'dies'] as const)('%s, is taken over by a neighbour and notices nothing', async (how) => {
    const rig = openRig('adoption');
    const first = await rig.openWorker();
    const id = await rig.submit(toCounter(3));
    await untilWritten(rig, id, 'out 20\n');
    const before = await inspectOnly(first);
    const second = await rig.openWorker();
    await (how === 'leaves' ? first.stop('leave') : first.drop());
    await untilOwned(rig, id, second);
    expect(await inspectOnly(second)).toEqual(before);
    await endCounter(before.id);
    const record = await rig.untilState(id, 'failed');
    expect(record).toMatchObject({ cause: 'exit_code', exit_code: 3, epoch: 1, attempt: 1 });
    expect(record.attempts).toMatchObject([{ attempt: 1, epoch: 1, exit_code: 3, image_digest: expect.any(String) }]);
    expect(await rig.history(id)).toEqual([...ADOPTED.slice(0, -1), 'failed']);
    expect(await expectWholeLog(rig, id)).toBeGreaterThan(20);
    await vi.waitFor(async () => expect(await second.context.runtime.list()).toEqual([]), { timeout: 30_000 });
    expect(await rig.store.workers.readReserved(second.context.engine.id)).toEqual(NOTHING);
  });

  it('twenty times over has one log, byte for byte', async () => {
    const rig = openRig('adoption');
    const open = () => rig.openWorker();
    let present = await open();
    const id = await rig.submit(toCounter());
    await untilWritten(rig, id, 'out 5\n');
    const before = await inspectOnly(present);
    for (let round = 0; round < 20; round += 1) {
      const next = await open();
      await present.stop('leave');
      await untilOwned(rig, id, next);
      present = next;
    }
    expect(await inspectOnly(present)).toEqual(before);
    await untilWritten(rig, id, 'out 201\n');
    await endCounter(before.id);
    expect(await rig.untilState(id, 'completed')).toMatchObject({ epoch: 1, attempt: 1, exit_code: 0 });
    expect((await rig.history(id)).filter((type) => type === 'adopted')).toHaveLength(20);
    expect(await expectWholeLog(rig, id)).toBeGreaterThan(200);
  }, 300_000);

  it('and ends while nobody watches has its true exit code and its whole log', async () => {
    const rig = openRig('adoption');
    const first = await rig.openWorker();
    const id = await rig.submit(toCounter(5));
    await untilWritten(rig, id, 'out 5\n');
    const { id: container } = await inspectOnly(first);
    await first.stop('leave');
    await endCounter(container);
    expect(await new Docker().getContainer(container).wait()).toMatchObject({ StatusCode: 5 });
    expect((await rig.store.jobs.read(id))?.state).toBe('running');
    await rig.openWorker();
    expect(await rig.untilState(id, 'failed', ADOPTION_LIMIT_MS)).toMatchObject({
      cause: 'exit_code',
      exit_code: 5,
      epoch: 1,
    });
    expect(await rig.history(id)).toEqual([...ADOPTED.slice(0, -1), 'failed']);
    expect(await expectWholeLog(rig, id)).toBeGreaterThan(5);
  });

  it('and whose container is removed while nobody watches is told so', async () => {
    const rig = openRig('adoption');
    const first = await rig.openWorker();
    const id = await rig.submit(toCounter());
    await untilStarted(rig, id);
    const { id: container } = await inspectOnly(first);
    await first.stop('leave');
    await new Docker().getContainer(container).remove({ force: true });
    await rig.openWorker();
    expect(await rig.untilState(id, 'failed', ADOPTION_LIMIT_MS)).toMatchObject({
      cause: 'removed_externally',
      epoch: 1,
    });
  });
});

describe('an adopted job', () => {
  it('can be cancelled, also when it was while nobody held it', async () => {
    const rig = openRig('adoption');
    const first = await rig.openWorker();
    const ids = [await rig.submit(toCounter()), await rig.submit(toCounter())] as const;
    for (const id of ids) await untilWritten(rig, id, 'out 5\n');
    await first.stop('leave');
    expect(await rig.store.jobs.cancel(ids[0])).toEqual({ kind: 'requested' });
    const second = await rig.openWorker();
    await untilOwned(rig, ids[1], second);
    await rig.store.jobs.cancel(ids[1]);
    for (const id of ids) {
      expect(await rig.untilState(id, 'cancelled')).toMatchObject({ cause: 'cancelled', epoch: 1 });
    }
    await vi.waitFor(async () => expect(await second.context.runtime.list()).toEqual([]), { timeout: 30_000 });
  });

  it('has only the rest of its time', async () => {
    const rig = openRig('adoption');
    const first = await rig.openWorker();
    const id = await rig.submit({ ...toCounter(), timeout_seconds: TIMEOUT_MS / 1_000, stop_grace_seconds: 1 });
    await untilStarted(rig, id);
    const second = await rig.openWorker();
    // So late that a time which began anew would end far behind the timeout, and early enough to be adopted before it.
    const { started_at } = (await rig.store.jobs.read(id)) ?? {};
    await vi.waitFor(() => expect(Date.now() - Number(started_at)).toBeGreaterThan(TIMEOUT_MS / 3), {
      timeout: 60_000,
    });
    await first.stop('leave');
    await untilOwned(rig, id, second);
    const record = await rig.untilState(id, 'failed');
    expect(record).toMatchObject({ cause: 'timeout', epoch: 1, attempts: [{ evidence: { asked_by: 'timeout' } }] });
    const ran_ms = Number(record.finished_at) - Number(record.started_at);
    const events = await rig.store.jobs.readHistory(id);
    const adopted_at = Number(events.find(({ type }) => type === 'adopted')?.at);
    expect(ran_ms).toBeGreaterThanOrEqual(TIMEOUT_MS);
    expect(Number(record.finished_at) - adopted_at).toBeLessThan(TIMEOUT_MS);
  });
});
