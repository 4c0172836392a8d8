import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { INSTALLATION_LABEL } from './container-labels.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { createJsonLines, isRecord } from './json-lines.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

export interface EngineEvents {
  /** The number of the connection that stands, null while none does. Another number means that events were missed. */
  readonly connection: number | null;
  /** Resolves once the first attempt to connect is over, for better or worse. */
  readonly opened: Promise<void>;
  /** Calls `wake` when something happened to the container, or may have. Gives back the function that stops it. */
  watch(id: string, wake: () => void): () => void;
  close(): Promise<void>;
}

/**
 * One stream of `die` and `destroy` events for all containers of the installation. It only ever says "look now": what it
 * says is never taken for an outcome, and when it breaks or comes back everyone looks, since anything may have been missed.
 */
export const openEngineEvents = (docker: Docker, installation: string): EngineEvents => {
  const watchers = new Map<string, Set<() => void>>();
  const closing = new AbortController();
  let connection: number | null = null;
  let connections = 0;
  let opening: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    opening = resolve;
  });

  const wakeAll = () => {
    for (const wakes of watchers.values()) for (const wake of wakes) wake();
  };
  const take = (event: Record<string, unknown>) => {
    const id = isRecord(event.Actor) ? event.Actor.ID : undefined;
    if (typeof id === 'string') for (const wake of watchers.get(id) ?? []) wake();
  };

  const readOnce = async () => {
    const events = await connect(docker, installation);
    connections += 1;
    connection = connections;
    opening();
    wakeAll();
    await readToEnd(events, take, closing.signal);
  };

  const keepReading = async () => {
    let pause = FIRST_PAUSE_MS;
    while (!closing.signal.aborted) {
      const before = connections;
      await readOnce().catch(() => undefined);
      connection = null;
      opening();
      wakeAll();
      pause = connections > before ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS);
      await delay(pause, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const reading = keepReading();

  return {
    get connection() {
      return connection;
    },
    opened,
    watch: (id, wake) => addWatcher(watchers, id, wake),
    close: async () => {
      closing.abort();
      await reading;
    },
  };
};

const addWatcher = (watchers: Map<string, Set<() => void>>, id: string, wake: () => void) => {
  const wakes = watchers.get(id) ?? new Set();
  watchers.set(id, wakes.add(wake));
  return () => {
    wakes.delete(wake);
    if (wakes.size === 0 && watchers.get(id) === wakes) watchers.delete(id);
  };
};

const connect = async (docker: Docker, installation: string): Promise<Readable> => {
  const filters = { type: ['container'], event: ['die', 'destroy'], label: [`${INSTALLATION_LABEL}=${installation}`] };
  const options = { filters: JSON.stringify(filters) };
  return (await callWithin(DEADLINES.read, (abortSignal) => docker.getEvents({ ...options, abortSignal }))) as Readable;
};

const readToEnd = (
  events: Readable,
  take: (event: Record<string, unknown>) => void,
  closing: AbortSignal,
): Promise<void> =>
  new Promise((resolve) => {
    const stop = () => events.destroy();
    events.on('data', createJsonLines(take));
    events.on('error', () => undefined);
    events.once('end', stop);
    events.once('close', () => {
      closing.removeEventListener('abort', stop);
      resolve();
    });
    closing.addEventListener('abort', stop, { once: true });
    if (closing.aborted) stop();
  });
