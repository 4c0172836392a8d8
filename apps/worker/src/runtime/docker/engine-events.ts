import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { INSTALLATION_LABEL } from './container-labels.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { createJsonLines, isRecord } from './json-lines.js';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** What the stream says of a container. */
export interface ContainerEvent {
  action: 'start' | 'kill' | 'oom' | 'die' | 'destroy';
  /** With `kill`, the signal that was sent. */
  signal: number | null;
  /** Unix milliseconds by the engine's clock. */
  at_ms: number;
}

export interface Watcher {
  /** Something happened to the container, or may have: look. */
  wake(): void;
  /** A hint at why it may end, which comes before `wake` or shortly after. */
  note(event: ContainerEvent): void;
}

export interface EngineEvents {
  /** The number of the connection that stands, null while none does. Another number means that events were missed. */
  readonly connection: number | null;
  /** Resolves once the first attempt to connect is over, for better or worse. */
  readonly opened: Promise<void>;
  /** Gives back the function that stops it. */
  watch(id: string, watcher: Watcher): () => void;
  close(): Promise<void>;
}

/**
 * One stream of events for all containers of the installation. Of an end it only ever says "look now": that is never taken for
 * an outcome, and when the stream breaks or comes back everyone looks, since anything may have been missed. Who killed a container,
 * or that it ran out of memory, is passed on as a hint to whoever watches it, and forgotten where nobody does.
 */
export const openEngineEvents = (docker: Docker, installation: string): EngineEvents => {
  const watchers = new Map<string, Set<Watcher>>();
  const closing = new AbortController();
  let connection: number | null = null;
  let connections = 0;
  let opening: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    opening = resolve;
  });

  const wakeAll = () => {
    for (const of_one of watchers.values()) for (const { wake } of of_one) wake();
  };
  const take = (line: Record<string, unknown>) => {
    const { id, event } = parseEvent(line) ?? {};
    if (id === undefined || event === undefined) return;
    for (const watcher of watchers.get(id) ?? []) {
      if (event.action === 'kill' || event.action === 'oom') watcher.note(event);
      else watcher.wake();
    }
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
    watch: (id, watcher) => addWatcher(watchers, id, watcher),
    close: async () => {
      closing.abort();
      await reading;
    },
  };
};

const addWatcher = (watchers: Map<string, Set<Watcher>>, id: string, watcher: Watcher) => {
  const of_one = watchers.get(id) ?? new Set();
  watchers.set(id, of_one.add(watcher));
  return () => {
    of_one.delete(watcher);
    if (of_one.size === 0 && watchers.get(id) === of_one) watchers.delete(id);
  };
};

export const ACTIONS = ['start', 'kill', 'oom', 'die', 'destroy'] as const;
/** What ends containers. Their starts are of use only later, when it is asked what the engine remembers. */
const STREAMED: ContainerEvent['action'][] = ['kill', 'oom', 'die', 'destroy'];
const isAction = (text: unknown): text is ContainerEvent['action'] => ACTIONS.some((action) => action === text);

/** Undefined where it is none of those that were asked for. */
export const parseEvent = (line: Record<string, unknown>): { id: string; event: ContainerEvent } | undefined => {
  const actor = isRecord(line.Actor) ? line.Actor : {};
  const { Action: action, timeNano } = line;
  if (typeof actor.ID !== 'string' || !isAction(action)) return undefined;
  const signal = isRecord(actor.Attributes) ? Number.parseInt(String(actor.Attributes.signal), 10) : Number.NaN;
  const at_ms = typeof timeNano === 'number' ? timeNano / 1_000_000 : Date.now();
  return { id: actor.ID, event: { action, signal: Number.isNaN(signal) ? null : signal, at_ms } };
};

/** For the engine's event call. */
export const toFilters = (event: readonly ContainerEvent['action'][], more: { label?: string[] }): string =>
  JSON.stringify({ type: ['container'], event, ...more });

const connect = async (docker: Docker, installation: string): Promise<Readable> => {
  const options = { filters: toFilters(STREAMED, { label: [`${INSTALLATION_LABEL}=${installation}`] }) };
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
