import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, it, vi } from 'vitest';
import { startRelay } from './relay.js';

/** A relay over an empty backlog, and the classes that it has looked at. */
const open = () => {
  const seen: string[] = [];
  const dispatch = async (className: string) => {
    seen.push(className);
    return [];
  };
  const parts = { store: { backlog: { dispatch } }, producer: {}, feed: { subscribe: () => () => {} } };
  const relay = startRelay({ ...parts, classes: [], log: pino({ level: 'silent' }) } as never);
  return { relay, seen };
};

it.each(Array.from({ length: 16 }, (_, steps) => steps))(
  'looks at a class that is kicked %i steps after another, whatever the pass is at',
  async (steps) => {
    const { relay, seen } = open();
    relay.kick('small');
    for (let step = 0; step < steps; step += 1) await undefined;
    relay.kick('large');
    await setImmediate();
    await relay.close();
    expect(seen).toEqual(['small', 'large']);
  },
);

it('puts back what the queue refuses', async () => {
  const jobs = [{ job_id: 'a' }, { job_id: 'b' }];
  const redispatch = vi.fn(async () => {});
  const parts = {
    store: { backlog: { dispatch: async () => jobs, redispatch } },
    producer: { add: async () => Promise.reject(new Error('refused')) },
    feed: { subscribe: () => () => {} },
  };
  const relay = startRelay({ ...parts, classes: [], log: pino({ level: 'silent' }) } as never);
  relay.kick('small');
  await setImmediate();
  await relay.close();
  expect(redispatch.mock.calls).toEqual([
    ['a', 'small'],
    ['b', 'small'],
  ]);
});
