import type { Scripts } from './scripts.js';

/**
 * What this process has seen of the broker's count of signs of life, which only grows. It goes with every beat, claim and adoption: a broker
 * that has counted less than that has gone back to an older state (see `went_back` in `scripts/names.lua`). Replies that come in
 * another order, or calls that are sent twice, do not matter: no reply can name more than there was.
 */
export interface BrokerPast {
  readonly seen: number;
  heard(beats: number): void;
}

export const createBrokerPast = (): BrokerPast => {
  let seen = 0;
  return {
    get seen() {
      return seen;
    },
    heard(beats) {
      seen = Math.max(seen, beats);
    },
  };
};

/** Unix ms, as a script tells it. */
export const toWentBackAt = (reply: string): number | null => (reply === '' ? null : Number(reply));

/** Since when the broker is known to have gone back to an older state, in Unix ms. Null: it is not. */
export const readWentBack = async (scripts: Scripts, past: BrokerPast): Promise<number | null> => {
  const [beats, went_back_at] = (await scripts.run('look-back', past.seen)) as [string, string];
  past.heard(Number(beats));
  return toWentBackAt(went_back_at);
};

/** What is wrong with a broker that has gone back, and what to do. `key`: the note of it. */
export const toWentBackProblem = (key: string, went_back_at: number): string =>
  `Redis has gone back to an older state, as was found at ${new Date(went_back_at).toISOString()}: it was restored from a copy, emptied, or ` +
  'has lost its last writes. Jobs that have ended since look as if they had yet to run, so none is started. Put the right data back if ' +
  `you have it; otherwise cancel the pending jobs that must not run again, and type \`redis-cli del ${key}\`.`;
