import type { LogStore } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';
import { createTurns } from './turns.js';

const PERIOD_MS = 2_000;
/** What is left of a log stays with the broker for so long after its job's end: it is read most then. */
const ENDED_FOR_MS = 60_000;
const BATCH = 50;
const AT_A_TIME = 4;

interface LogSealingOptions {
  logs: Pick<LogStore, 'findUnsealed' | 'seal'>;
  log: Logger;
  ended_for_ms?: number;
}

/**
 * Moves what is left of ended jobs' logs into the file store, whoever ended them. Each is named to one replica at a time, and again after a while
 * where that one has died or could not; two that seal the same make the same segment, and the second finds it there.
 */
export const startLogSealing = ({ logs, log, ended_for_ms = ENDED_FOR_MS }: LogSealingOptions) => {
  const inTurn = createTurns(AT_A_TIME);
  let closed = false;
  const sealAll = async (job_id: string): Promise<void> => {
    while (!closed && (await logs.seal(job_id)).kind === 'sealed');
  };
  const pass = async (): Promise<void> => {
    for (let found = BATCH; found === BATCH && !closed; ) {
      const ids = await logs.findUnsealed(ended_for_ms, BATCH);
      found = ids.length;
      await Promise.all(ids.map((id) => inTurn(() => sealAll(id))));
    }
  };
  const passing = repeat(pass, { period_ms: PERIOD_MS, failure: 'could not move ended logs into the file store', log });
  return {
    async close(): Promise<void> {
      closed = true;
      await passing.close();
    },
  };
};
