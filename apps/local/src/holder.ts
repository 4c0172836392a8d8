import { reasonOf } from './local-error.js';

/** Something that runs because of us. */
export interface Held {
  close(): Promise<void>;
  /** The same, at once. */
  kill(): void;
}

export interface Holder {
  /** Aborted once `release` was called. */
  readonly stopping: AbortSignal;
  /** Opens one thing and holds it. Refuses once stopping. */
  hold<T extends Held>(open: () => Promise<T> | T): Promise<T>;
  /** Lets no later step begin, waits for `running`, then closes all that is held, the last first. */
  release(running: Promise<void>): Promise<void>;
  kill(): void;
}

export const createHolder = (say: (line: string) => void): Holder => {
  const held: Held[] = [];
  const stop = new AbortController();

  const hold = async <T extends Held>(open: () => Promise<T> | T): Promise<T> => {
    stop.signal.throwIfAborted();
    const thing = await open();
    held.push(thing);
    return thing;
  };

  const release = async (running: Promise<void>) => {
    stop.abort(new Error('stopped'));
    await running.catch(() => {});
    for (let thing = held.at(-1); thing; thing = held.at(-1)) {
      await thing.close().catch((error) => say(reasonOf(error)));
      held.pop();
    }
  };

  const kill = () => {
    for (const thing of held) thing.kill();
  };

  return { stopping: stop.signal, hold, release, kill };
};
