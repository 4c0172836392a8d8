import { describe, expect, it, onTestFinished } from 'vitest';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { NOTHING, openRig } from './open-rig.js';

describe('a job that fails and may be tried again', () => {
  it('comes back after its back-off, in a container of its own', async () => {
    const rig = openRig('retries');
    const names: string[] = [];
    const engine = createFakeEngine({
      program: ({ name, labels }) => {
        names.push(name);
        return {
          exit_code: labels.attempt === 1 ? 3 : 0,
          output: [{ stream: 'stdout', data: `try ${labels.attempt}\n` }],
        };
      },
    });
    await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const id = await rig.submit({ max_attempts: 3 });
    const record = await rig.untilState(id, 'completed');
    expect(names).toEqual([`berth-${id}-e1`, `berth-${id}-e2`]);
    expect(record).toMatchObject({ attempt: 2, exit_code: 0, cause: null });
    expect(record.attempts.map(({ attempt, exit_code, cause }) => ({ attempt, exit_code, cause }))).toEqual([
      { attempt: 1, exit_code: 3, cause: 'exit_code' },
      { attempt: 2, exit_code: 0, cause: null },
    ]);
    const history = await rig.store.jobs.readHistory(id);
    const [retried, again] = ['retried', 'claimed'].map(
      (type) => history.findLast((event) => event.type === type)?.at ?? 0,
    );
    expect((again ?? 0) - (retried ?? 0)).toBeGreaterThanOrEqual(500);
    expect((await rig.readLog(id)).toString()).toBe('try 1\ntry 2\n');
  });

  it('ends when its attempts are used up', async () => {
    const rig = openRig('retries');
    const engine = createFakeEngine({ program: () => ({ exit_code: 1 }) });
    await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const id = await rig.submit({ max_attempts: 2 });
    const record = await rig.untilState(id, 'failed');
    expect(record.attempts).toHaveLength(2);
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
  });

  it('that takes its engine along each time is taken for poison', async () => {
    const rig = openRig('retries');
    const engine = createFakeEngine({ program: () => ({ until: new Promise(() => {}) }) });
    const kill = setInterval(() => engine.restart(), 20);
    onTestFinished(() => clearInterval(kill));
    await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) });
    const id = await rig.submit({ max_attempts: 5 });
    const record = await rig.untilState(id, 'failed');
    expect(record).toMatchObject({ cause: 'poison', attempt: 1, epoch: 3 });
  });
});
