import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, it } from 'vitest';
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
