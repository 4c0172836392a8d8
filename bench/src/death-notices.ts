import type { Readable } from 'node:stream';
import type Docker from 'dockerode';

/** Unix milliseconds. */
export interface Death {
  /** By the engine's `die` event. */
  at: number;
  /** When the engine first answered an inspect that was sent at that event: before that it tells nobody the exit code. */
  shown_at: number;
}

export interface DeathNotices {
  whenDead(job_id: string): Promise<Death>;
  close(): void;
}

interface DieEvent {
  timeNano: number;
  Actor: { ID: string; Attributes: Record<string, string> };
}

/** The engine's `die` events of an installation's containers, read over a connection of our own. */
export const openDeathNotices = async (docker: Docker, installation: string): Promise<DeathNotices> => {
  const dead = new Map<string, Death>();
  const waiting = new Map<string, (death: Death) => void>();
  const filters = JSON.stringify({
    type: ['container'],
    event: ['die'],
    label: [`berth.installation=${installation}`],
  });
  const events = (await docker.getEvents({ filters })) as Readable;
  let rest = '';
  const take = async (line: string): Promise<void> => {
    const { timeNano, Actor } = JSON.parse(line) as DieEvent;
    await docker.getContainer(Actor.ID).inspect();
    const death = { at: timeNano / 1e6, shown_at: performance.timeOrigin + performance.now() };
    const job_id = Actor.Attributes['berth.job'] ?? '';
    dead.set(job_id, death);
    waiting.get(job_id)?.(death);
  };
  events.on('error', () => undefined);
  events.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line).catch(() => undefined);
  });
  return {
    whenDead: (job_id) => {
      const death = dead.get(job_id);
      return death === undefined ? new Promise((resolve) => waiting.set(job_id, resolve)) : Promise.resolve(death);
    },
    close: () => events.destroy(),
  };
};
