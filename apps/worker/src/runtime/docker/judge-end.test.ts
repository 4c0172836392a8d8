import { Readable } from 'node:stream';
import { type ExitReport, toOutcome } from '@berth/domain';
import type Docker from 'dockerode';
import { expect, test } from 'vitest';
import type { ContainerEvent } from './engine-events.js';
import { type EndedContainer, judgeEnd, type Seen } from './judge-end.js';
import type { MemorySeen } from './memory-witness.js';
import { createSightings } from './sightings.js';

const END_MS = Date.parse('2026-01-02T03:04:05Z');
const STATE = {
  Status: 'exited',
  Running: false,
  OOMKilled: false,
  StartedAt: '2026-01-02T03:00:00Z',
  FinishedAt: '2026-01-02T03:04:05Z',
};
const NOTHING: MemorySeen = { oom_kills: 0, last_oom_ms: null, peak_bytes: null };
const at = (action: ContainerEvent['action'], signal: number | null = null, at_ms = END_MS - 50): ContainerEvent => ({
  action,
  signal,
  at_ms,
});

const toLine = (ID: string, { action, signal, at_ms }: ContainerEvent) => {
  const Actor = { ID, Attributes: signal === null ? {} : { signal: String(signal) } };
  return Buffer.from(`${JSON.stringify({ Action: action, Actor, timeNano: at_ms * 1_000_000 })}\n`);
};

const KILLED_BY_OTHERS = [at('kill', 9), at('die')];
const LONG_BEFORE = END_MS - 60_000;
const MISSED = { adopted: true, missed: true };

interface World {
  /** What is known before the end is looked at. */
  events?: ContainerEvent[];
  /** What the engine remembers when it is asked, of this container; and of others, how long ago. */
  remembered?: ContainerEvent[];
  others_ms?: number;
  /** What is told after so many looks at the kernel's log. */
  late?: { after: number; event: ContainerEvent };
  memory?: Partial<MemorySeen>;
  /** What the container shows when it is looked at once more. */
  again?: object | 'gone';
  killed_by_us?: boolean;
  missed?: boolean;
  adopted?: boolean;
  engine_down?: boolean;
}

const setUp = (world: World) => {
  const calls: string[] = [];
  let looks = 0;
  const wasKilled = () => world.killed_by_us === true;
  const memory = {
    look: async () => {
      looks += 1;
      if (world.late?.after === looks) sightings.note(world.late.event);
    },
    sample: async () => undefined,
    seen: { ...NOTHING, ...world.memory },
    stop: () => undefined,
  };
  const sightings = createSightings(memory, wasKilled);
  for (const event of world.events ?? []) sightings.note(event);
  const docker = {
    getEvents: async () => {
      calls.push('events');
      if (world.remembered === undefined) throw new Error('the engine does not answer');
      const other = world.others_ms === undefined ? [] : [toLine('other', at('die', null, world.others_ms))];
      return Readable.from([...other, ...world.remembered.map((event) => toLine('c', event))]);
    },
  } as unknown as Docker;
  const ended: EndedContainer = {
    docker,
    container: { id: 'c' } as Docker.Container,
    sightings,
    memory,
    wasKilled,
    look: async () => {
      calls.push('look');
      const again = world.again ?? { ...STATE, ExitCode: 137 };
      return (again === 'gone' ? again : { State: again }) as Seen;
    },
    missedEvents: () => world.missed === true,
    watched_from_start: world.adopted !== true,
    isEngineUp: async () => {
      calls.push('ping');
      return world.engine_down !== true;
    },
  };
  return { ended, calls };
};

const judge = async (exit_code: number, world: World = {}, state: object = {}) => {
  const { ended, calls } = setUp({ again: { ...STATE, ...state, ExitCode: exit_code }, ...world });
  const inspected = { Config: {}, State: { ...STATE, ...state, ExitCode: exit_code } };
  const report = await judgeEnd(ended, inspected as unknown as Docker.ContainerInspectInfo);
  return { report, calls };
};

const toCauseOf = (report: ExitReport) =>
  toOutcome(report, { intent: undefined, deadline_ms: Number.POSITIVE_INFINITY }).kind;

test.each([0, 1, 139])('an end with %i costs no call of the engine', async (exit_code) => {
  const { report, calls } = await judge(exit_code);
  expect(report).toMatchObject({ kind: 'exited', exit_code, outside_signal: null });
  expect(calls).toEqual([]);
});

test.each<[string, string, number, World, object?]>([
  ['a program that ends so by itself', 'exited', 137, {}],
  ['a signal from outside', 'killed_externally', 137, { events: [at('kill', 9)] }],
  ['a signal from outside that is told late', 'killed_externally', 143, { late: { after: 3, event: at('kill', 15) } }],
  ['TERM from outside, and an exit code of its own', 'killed_externally', 3, { events: [at('kill', 15)] }],
  ['HUP from outside, and an exit code of its own', 'exited', 3, { events: [at('kill', 1)] }],
  ['our own signal', 'exited', 137, { events: [at('kill', 9)], killed_by_us: true, missed: true }],
  ['the flag', 'out_of_memory', 137, {}, { OOMKilled: true }],
  ['the flag, set late', 'out_of_memory', 137, { again: { ...STATE, ExitCode: 137, OOMKilled: true } }],
  ['an event of the engine, no flag', 'out_of_memory', 137, { events: [at('oom')] }],
  ['an event of the engine, told late', 'out_of_memory', 137, { late: { after: 4, event: at('oom') } }],
  ['the kernel, no flag', 'out_of_memory', 137, { memory: { oom_kills: 1, last_oom_ms: END_MS - 20 } }],
  [
    'the kernel, and the engine was away',
    'out_of_memory',
    137,
    { memory: { oom_kills: 1, last_oom_ms: END_MS }, missed: true },
  ],
  [
    'a child’s death long ago, and the engine was away',
    'engine_restarted',
    137,
    { memory: { oom_kills: 1, last_oom_ms: END_MS - 60_000 }, missed: true },
  ],
  ['an engine that was away', 'engine_restarted', 137, { missed: true }],
  ['an engine that goes down politely', 'engine_restarted', 143, { events: [at('kill', 15)], engine_down: true }],
  [
    'the same, with an exit code of the program’s own',
    'engine_restarted',
    3,
    { events: [at('kill', 15)], engine_down: true },
  ],
  ['an exit code of its own, and the engine was away', 'exited', 3, { missed: true }],
  ['a crash, and the engine was away', 'exited', 139, { missed: true }],
  ['an end that was found, of which nobody knows', 'engine_restarted', 137, { adopted: true, missed: true }],
  [
    'a kill that an engine remembers which saw the start',
    'killed_externally',
    137,
    { ...MISSED, remembered: [at('start'), ...KILLED_BY_OTHERS] },
  ],
  [
    'a kill that an engine remembers which was long up',
    'killed_externally',
    137,
    { ...MISSED, remembered: KILLED_BY_OTHERS, others_ms: LONG_BEFORE },
  ],
  [
    'an end of its own that such an engine remembers',
    'exited',
    137,
    { ...MISSED, remembered: [at('die')], others_ms: LONG_BEFORE },
  ],
  [
    'TERM that it remembers, and an exit code of its own',
    'killed_externally',
    3,
    { ...MISSED, remembered: [at('start'), at('kill', 15), at('die')] },
  ],
  [
    'a kill by an engine that had just come up',
    'engine_restarted',
    137,
    { ...MISSED, remembered: KILLED_BY_OTHERS, others_ms: END_MS - 1_000 },
  ],
  [
    'the same, with an exit code of the program’s own',
    'engine_restarted',
    3,
    { ...MISSED, remembered: [at('kill', 15), at('die')] },
  ],
  [
    'an end by KILL without a sender, as an engine had just come up',
    'engine_restarted',
    137,
    { ...MISSED, remembered: [at('die')], others_ms: END_MS - 1_000 },
  ],
  ['memory, which it remembers', 'out_of_memory', 137, { ...MISSED, remembered: [at('oom'), at('die')] }],
  ['a removal by force', 'removed_externally', 137, { events: [at('kill', 9)] }, { Status: 'removing' }],
  ['a removal by force that shows late', 'removed_externally', 137, { events: [at('kill', 9)], again: 'gone' }],
  [
    'a restart by someone else',
    'killed_externally',
    137,
    { events: [at('kill', 9)], again: { ...STATE, Running: true, Status: 'running', ExitCode: 0 } },
  ],
])('%s: %s', async (_what, cause, exit_code, world, state) => {
  const { report } = await judge(exit_code, world, state);
  expect(toCauseOf(report)).toBe(cause);
});

test('what is known of memory is told, with every exit code', async () => {
  const { report } = await judge(0, { memory: { oom_kills: 2, peak_bytes: 4096 } }, { OOMKilled: true });
  expect(report).toMatchObject({ memory: { oom_kills: 2, oom_flag: true, peak_bytes: 4096 } });
  const { report: flagged } = await judge(0, {}, { OOMKilled: true });
  expect(flagged).toMatchObject({ memory: { oom_kills: 1, oom_flag: true, peak_bytes: null } });
  const { report: told } = await judge(1, { events: [at('oom'), at('oom')] });
  expect(told).toMatchObject({ memory: { oom_kills: 2, oom_flag: false } });
});

test('a death that is explained does not wait for more', async () => {
  const begun = performance.now();
  await judge(137, { events: [at('kill', 9)] });
  await judge(137, {}, { OOMKilled: true });
  expect(performance.now() - begun).toBeLessThan(40);
});
