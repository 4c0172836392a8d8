import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { expect, it } from 'vitest';
import { watchEnd } from './container-end.js';
import type { EngineEvents, Watcher } from './engine-events.js';
import type { MemoryWitness } from './memory-witness.js';

const ENDED = { Status: 'exited', Running: false, OOMKilled: false, FinishedAt: '2026-01-02T03:04:05Z' };
const RUNNING = { ...ENDED, Status: 'running', Running: true, ExitCode: 0 };

/** A container that shows these states one after another, on an engine whose stream we hold. */
const setUp = (...states: object[]) => {
  const left = [...states];
  let connection = 1;
  let watching = 0;
  const watchers = new Set<Watcher>();
  const events: EngineEvents = {
    get connection() {
      return connection;
    },
    opened: Promise.resolve(),
    watch: (_id, watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    close: async () => undefined,
  };
  const memory: MemoryWitness = {
    watch: () => {
      watching += 1;
      const seen = { oom_kills: 0, last_oom_ms: null, peak_bytes: null };
      return { look: async () => undefined, sample: async () => undefined, seen, stop: () => (watching -= 1) };
    },
    close: () => undefined,
  };
  const container = {
    id: 'c',
    inspect: async () => ({ Config: {}, State: left.length > 1 ? left.shift() : left[0] }),
    wait: () => new Promise(() => undefined),
  } as unknown as Docker.Container;
  const remembered: object[] = [];
  const getEvents = async () => Readable.from(remembered.map((event) => Buffer.from(`${JSON.stringify(event)}\n`)));
  const docker = { getEvents } as unknown as Docker;
  const shared = { docker, container, events, memory, isEngineUp: async () => true };
  const begin = (fresh: boolean) => watchEnd({ ...shared, wasKilled: () => false, fresh });
  return {
    begin,
    watch: (fresh: boolean) => begin(fresh).report,
    remember: (Action: string) => remembered.push({ Action, Actor: { ID: 'c' }, timeNano: Date.now() * 1e6 }),
    wake: () => {
      for (const { wake } of watchers) wake();
    },
    note: (signal: number) => {
      for (const { note } of watchers) note({ action: 'kill', signal, at_ms: Date.now() });
    },
    reconnect: () => {
      connection += 1;
    },
    isWatched: () => watchers.size > 0 || watching > 0,
  };
};

it('a kill that the stream tells of before the end is a kill by someone else', async () => {
  const { watch, note, wake, isWatched } = setUp({ ...ENDED, ExitCode: 137 });
  const report = watch(true);
  note(9);
  wake();
  expect(await report).toMatchObject({ kind: 'exited', exit_code: 137, outside_signal: 9 });
  expect(isWatched()).toBe(false);
});

it('a container that was last seen alive on another connection was the engine’s victim', async () => {
  const { watch, wake, reconnect } = setUp(RUNNING, { ...ENDED, ExitCode: 137 });
  const report = watch(true);
  wake();
  await new Promise((resolve) => setImmediate(resolve));
  reconnect();
  wake();
  expect(await report).toEqual({ kind: 'engine_restarted' });
});

it('one that was seen alive again after the connection came back was not', async () => {
  const { watch, wake, reconnect } = setUp(RUNNING, { ...ENDED, ExitCode: 137 });
  const report = watch(true);
  reconnect();
  wake();
  await new Promise((resolve) => setImmediate(resolve));
  wake();
  expect(await report).toMatchObject({ kind: 'exited', exit_code: 137, outside_signal: null });
});

it('an end that no engine saw is told from one that only we missed', async () => {
  for (const [reconnected, remembered, saw] of [
    [false, [], true],
    [true, ['start', 'die'], true],
    [true, ['die'], false],
    [true, Array<string>(300).fill('exec_die'), true],
    [true, ['create'], false],
  ] as const) {
    const { begin, wake, reconnect, remember } = setUp(RUNNING, { ...ENDED, ExitCode: 7 });
    const { report, sawEnd } = begin(true);
    wake();
    await new Promise((resolve) => setImmediate(resolve));
    if (reconnected) reconnect();
    for (const action of remembered) remember(action);
    wake();
    expect(await report).toMatchObject({ kind: 'exited', exit_code: 7 });
    expect(await sawEnd()).toBe(saw);
  }
});
