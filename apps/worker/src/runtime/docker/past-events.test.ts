import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { expect, it } from 'vitest';
import { mayHaveSeenEnd, readPastEvents } from './past-events.js';

const toLine = (id: string, Action: string, at_s: number): string =>
  `${JSON.stringify({ Type: 'container', Action, Actor: { ID: id, Attributes: {} }, timeNano: at_s * 1e9 })}\n`;

/** An engine that remembers these events, whatever it is asked for. */
const toEngine = (...lines: string[]) =>
  ({ getEvents: async () => Readable.from(lines.map((line) => Buffer.from(line))) }) as unknown as Docker;

const die = toLine('ours', 'die', 100);

it.each([
  ['started it too', [toLine('ours', 'start', 90), die], true],
  ['had been up for long', [toLine('other', 'start', 60), die], true],
  ['has forgotten how it began', Array.from({ length: 250 }, (_, i) => toLine('other', 'start', 99 + i)), true],
  ['found it dead as it came up', [die], false],
  ['found it dead as it came up, and has started others since', [die, toLine('other', 'start', 140)], false],
  ['says nothing of it', [toLine('other', 'start', 60)], false],
])('an engine that %s', async (_what, lines, expected) => {
  expect(await mayHaveSeenEnd(toEngine(...lines), 'ours')).toBe(expected);
});

it('asks an engine again that did not answer, or that broke off', async () => {
  const broken = new Readable({ read: () => undefined });
  const answers = [
    async () => Promise.reject(new Error('it did not answer')),
    async () => {
      setImmediate(() => broken.destroy());
      return broken;
    },
    toEngine(toLine('ours', 'start', 90), die).getEvents,
  ];
  const docker = { getEvents: () => answers.shift()?.() } as unknown as Docker;
  const { events, saw_before } = await readPastEvents(docker, 'ours', 100_000);
  expect(events.map(({ action }) => action)).toEqual(['start', 'die']);
  expect(saw_before).toBe(true);
});

it('makes do with what it heard of an engine that never answers', async () => {
  const docker = { getEvents: () => Promise.reject(new Error('it did not answer')) } as unknown as Docker;
  expect(await readPastEvents(docker, 'ours', 100_000)).toEqual({ events: [], saw_before: false });
});
