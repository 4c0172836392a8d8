import { appendFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { until } from '../harness.js';

/** Writes what happened to Berth's containers on one engine to a file that `verify --events` reads. */
export interface EventRecorder {
  /** Returns when everything up to now is in the file. */
  flush(): Promise<void>;
  close(): void;
}

interface EngineEvent {
  Action: string;
  timeNano: number;
  Actor: { ID: string; Attributes: Record<string, string> };
}

const ACTIONS = ['create', 'start', 'die', 'destroy', 'pause', 'unpause', 'kill'];
const KILL = '9';
const PAUSE_MS = 100;

/**
 * An engine remembers its last events only as long as it lives. So after each break everything that the new one remembers is read
 * once more, and for containers whose end nobody saw, the engine is asked when it was.
 */
export const openEventRecorder = (docker: Docker, place: { engine: string; file: string }): EventRecorder => {
  const seen = new Set<string>();
  const running = new Map<string, EngineEvent>();
  let closed = false;
  let stream: Readable | undefined;
  let last_seconds = Date.now() / 1000 - 1;

  const write = (event: EngineEvent, at_ms: number, inferred?: true) => {
    const { 'berth.job': job_id, 'berth.epoch': epoch, 'berth.installation': installation } = event.Actor.Attributes;
    const line = {
      engine: place.engine,
      action: event.Action,
      at_ms,
      container: event.Actor.ID,
      job_id,
      epoch: Number(epoch),
    };
    appendFileSync(place.file, `${JSON.stringify({ ...line, installation, ...(inferred ? { inferred } : {}) })}\n`);
  };
  const take = (event: EngineEvent) => {
    const key = `${event.timeNano} ${event.Action} ${event.Actor.ID}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (event.Action === 'kill' && event.Actor.Attributes.signal !== KILL) return;
    last_seconds = Math.max(last_seconds, event.timeNano / 1e9 - 1);
    if (event.Action === 'start') running.set(event.Actor.ID, event);
    if (event.Action === 'die' || event.Action === 'destroy') running.delete(event.Actor.ID);
    write(event, event.timeNano / 1e6);
  };

  const open = async (more: { until?: string } = {}): Promise<Readable> => {
    const filters = JSON.stringify({ type: ['container'], event: ACTIONS, label: ['berth.job'] });
    const since = last_seconds.toFixed(9);
    return (await docker.getEvents({ since, ...more, filters } as object)) as unknown as Readable;
  };
  const readToEnd = (from: Readable): Promise<void> =>
    new Promise((resolve) => {
      let rest = '';
      from.on('data', (data) => {
        const lines = `${rest}${data}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line.trim() !== '') take(JSON.parse(line) as EngineEvent);
      });
      from.on('error', () => undefined);
      from.once('end', () => from.destroy());
      from.once('close', resolve);
    });

  /** Without an end in sight: of one that is gone with its engine's memory, no more is known than that it ended after the last event. */
  const inferEnd = async (id: string, event: EngineEvent) => {
    const found = await findContainer(docker, id);
    if (found?.Running) return;
    running.delete(id);
    const finished = found ? Date.parse(found.FinishedAt) : Number.NaN;
    write({ ...event, Action: 'die' }, finished > 0 ? finished : last_seconds * 1000, true);
  };
  const inferEnds = async () => {
    for (const [id, event] of running) await inferEnd(id, event);
  };
  const follow = async () => {
    while (!closed) {
      try {
        stream = await open();
        const reading = readToEnd(stream);
        await inferEnds();
        await reading;
      } catch {
        stream?.destroy();
      }
      if (!closed) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  void follow();

  return {
    flush: () =>
      until('the engine to tell what happened', async () => {
        await readToEnd(await open({ until: (Date.now() / 1000).toFixed(9) }));
        await inferEnds();
        return true as const;
      }).then(() => undefined),
    close: () => {
      closed = true;
      stream?.destroy();
    },
  };
};

/** Undefined: it is not there. Rejects where the engine does not say. */
const findContainer = (docker: Docker, id: string) =>
  docker
    .getContainer(id)
    .inspect()
    .then(
      (found) => found.State,
      (error: { statusCode?: number }) => {
        if (error.statusCode === 404) return undefined;
        throw error;
      },
    );
