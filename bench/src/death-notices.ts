import type { Readable } from 'node:stream';
import type Docker from 'dockerode';

export interface DeathNotices {
  /** When the engine says that the job's container died, in Unix milliseconds. */
  whenDead(job_id: string): Promise<number>;
  close(): void;
}

interface DieEvent {
  timeNano: number;
  Actor: { Attributes: Record<string, string> };
}

/** The engine's `die` events of an installation's containers, read over a connection of our own. */
export const openDeathNotices = async (docker: Docker, installation: string): Promise<DeathNotices> => {
  const dead = new Map<string, number>();
  const waiting = new Map<string, (at: number) => void>();
  const filters = JSON.stringify({
    type: ['container'],
    event: ['die'],
    label: [`berth.installation=${installation}`],
  });
  const events = (await docker.getEvents({ filters })) as Readable;
  let rest = '';
  const take = (line: string): void => {
    const { timeNano, Actor } = JSON.parse(line) as DieEvent;
    const job_id = Actor.Attributes['berth.job'] ?? '';
    dead.set(job_id, timeNano / 1e6);
    waiting.get(job_id)?.(timeNano / 1e6);
  };
  events.on('error', () => undefined);
  events.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') take(line);
  });
  return {
    whenDead: (job_id) => {
      const at = dead.get(job_id);
      return at === undefined ? new Promise((resolve) => waiting.set(job_id, resolve)) : Promise.resolve(at);
    },
    close: () => events.destroy(),
  };
};
