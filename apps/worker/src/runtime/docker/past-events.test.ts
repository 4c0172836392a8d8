import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { expect, it } from 'vitest';
import { mayHaveSeenEnd } from './past-events.js';

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
