import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { callWithin } from './engine-calls.js';
import { ACTIONS, type ContainerEvent, parseEvent, toFilters } from './engine-events.js';
import { createJsonLines } from './json-lines.js';

const LIMIT_MS = 2_000;
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
  const events: ContainerEvent[] = [];
  let oldest_ms = Number.POSITIVE_INFINITY;
  await readAll(docker, { until_ms, filters: toFilters(ACTIONS, {}) }, (line) => {
    const parsed = parseEvent(line);
    if (parsed === undefined) return;
    oldest_ms = Math.min(oldest_ms, parsed.event.at_ms);
    if (parsed.id === id) events.push(parsed.event);
  }).catch(() => undefined);
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
  let kept = 0;
  await readAll(docker, { until_ms }, () => {
    kept += 1;
  }).catch(() => undefined);
  return kept >= FULL;
};

interface Window {
  until_ms: number;
  filters?: string;
}

const readAll = (
  docker: Docker,
  { until_ms, ...filtered }: Window,
  take: (line: Record<string, unknown>) => void,
): Promise<void> =>
  callWithin(LIMIT_MS, async (abortSignal) => {
    const query = { since: '1', until: (until_ms / 1_000).toFixed(3), ...filtered };
    const events = (await docker.getEvents({ ...query, abortSignal } as object)) as Readable;
    abortSignal.addEventListener('abort', () => events.destroy());
    await new Promise<void>((resolve) => {
      events.on('data', createJsonLines(take));
      events.on('error', () => resolve());
      events.once('close', () => resolve());
      events.once('end', () => resolve());
    });
  });
