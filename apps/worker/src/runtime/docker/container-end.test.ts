import type Docker from 'dockerode';
import { expect, it } from 'vitest';
import { watchEnd } from './container-end.js';
import type { EngineEvents } from './engine-events.js';

const ENDED = { Status: 'exited', Running: false, OOMKilled: false, FinishedAt: '2026-01-02T03:04:05Z' };
const KILLED = { ...ENDED, ExitCode: 137 };
const RUNNING = { ...ENDED, Status: 'running', Running: true, ExitCode: 0 };

const events: EngineEvents = {
  connection: 1,
  opened: Promise.resolve(),
  watch: () => () => undefined,
  close: async () => undefined,
};

/** The end of a container that shows these states one after another. */
const judge = (...states: object[]) => {
  const left = [...states];
  const container = {
    id: 'c',
    inspect: async () => ({ Config: {}, State: left.length > 1 ? left.shift() : left[0] }),
    wait: async () => ({ StatusCode: 0 }),
  } as unknown as Docker.Container;
  const docker = {} as Docker;
  const options = { docker, container, events, wasKilled: () => false, isEngineUp: async () => true };
  return watchEnd({ ...options, fresh: true }).report;
};

it('a kill by someone else is an exit', async () => {
  expect(await judge(KILLED)).toMatchObject({ kind: 'exited', exit_code: 137 });
});

it('a container that someone else restarts has ended as it was killed, and not as the new run stands', async () => {
  expect(await judge(KILLED, RUNNING)).toMatchObject({ kind: 'exited', exit_code: 137 });
});

it('what the engine notes late of the end counts', async () => {
  expect(await judge(KILLED, { ...KILLED, OOMKilled: true })).toMatchObject({ oom_killed: true });
});
