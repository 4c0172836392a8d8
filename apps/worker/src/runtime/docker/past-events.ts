import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { callWithin } from './engine-calls.js';
import { ACTIONS, type ContainerEvent, parseEvent, toFilters } from './engine-events.js';
import { createJsonLines } from './json-lines.js';

const LIMIT_MS = 5_000;
/** What an engine that says nothing is taken to mean depends on this answer, so it is asked again. */
const TRIES = 3;
const PAUSE_MS = 500;
/** An engine that comes up ends what it finds within this time. */
const START_UP_MS = 30_000;
/** So many events, of whatever kind, an engine remembers at least once it has seen as many. */
const FULL = 250;

export interface PastEvents {
  /** The container's, the oldest first. */
  events: ContainerEvent[];
  /** Whether the engine was up, and not just starting, when the first of them happened. */
  saw_before: boolean;
}

/**
 * What the engine remembers of a container up to a time, in Unix milliseconds by its own clock; one in the future is waited for. It
 * keeps some hundred events of all containers together, and none of before its own start. Never rejects: where nothing is to be had
 * nothing is known.
 */
export const readPastEvents = async (docker: Docker, id: string, until_ms: number): Promise<PastEvents> => {
  const lines = await readAll(docker, { until_ms, filters: toFilters(ACTIONS, {}) });
  const all = lines.flatMap((line) => parseEvent(line) ?? []);
  const events = all.filter((parsed) => parsed.id === id).map(({ event }) => event);
  const oldest_ms = Math.min(...all.map(({ event }) => event.at_ms));
  const [first] = events;
  const saw_before = first !== undefined && (first.action === 'start' || oldest_ms < first.at_ms - START_UP_MS);
  return { events, saw_before };
};

/**
 * Whether the engine that is up now was up when the container ended: one that came up later tells of no end, or of one while it starts,
 * also where it knows the exit code. Where its memory is full it may have forgotten, and is given the benefit of the doubt.
 */
export const mayHaveSeenEnd = async (docker: Docker, id: string): Promise<boolean> => {
  const until_ms = Date.now();
  const { events, saw_before } = await readPastEvents(docker, id, until_ms);
  if (saw_before && events.some(({ action }) => action === 'die')) return true;
  return (await readAll(docker, { until_ms })).length >= FULL;
};

interface Window {
  until_ms: number;
  filters?: string;
}

type Line = Record<string, unknown>;

/** What was heard in the last try, where none came to its end. */
const readAll = async (docker: Docker, window: Window): Promise<Line[]> => {
  for (let tried = 1; ; tried += 1) {
    const lines: Line[] = [];
    const isWhole = await readOnce(docker, window, (line) => lines.push(line)).then(
      () => true,
      () => false,
    );
    if (isWhole || tried === TRIES) return lines;
    await delay(PAUSE_MS);
  }
};

/** Rejects where the engine did not tell all. */
const readOnce = (docker: Docker, { until_ms, ...filtered }: Window, take: (line: Line) => void): Promise<void> =>
  callWithin(LIMIT_MS, async (abortSignal) => {
    const query = { since: '1', until: (until_ms / 1_000).toFixed(3), ...filtered };
    const events = (await docker.getEvents({ ...query, abortSignal } as object)) as Readable;
    abortSignal.addEventListener('abort', () => events.destroy());
    events.on('data', createJsonLines(take));
    await finished(events);
  });
