import { randomUUID } from 'node:crypto';
import { type Claim, createStore, type LogPiece, openRedis, type Sealed, type Store } from '@berth/store';
import { onTestFinished } from 'vitest';
import { startJob, type TestApi } from './open-test-api.js';

export interface Writer {
  job_id: string;
  /** Over a connection that waits for the broker, as a worker's does. */
  store: Store;
  claim(): Claim;
  write(...pieces: LogPiece[]): Promise<void>;
  seal(): Promise<Sealed>;
  /** Another worker goes on, from what it finds stored. */
  adopt(): Promise<void>;
}

/** Plays the workers of one running job: they write, seal, and take it over from one another. */
export const openWriter = async (api: TestApi): Promise<Writer> => {
  const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  onTestFinished(() => redis.disconnect());
  const store = createStore(redis, api.store.keys.prefix, api.context.files);
  const { logs, keys } = store;
  const job_id = await api.submit();
  let claim: Claim = await startJob(store, job_id);
  let first = 1;
  return {
    job_id,
    store,
    claim: () => claim,
    async write(...pieces) {
      const sent = first;
      first += pieces.length;
      const reply = await logs.append(claim, { first: sent, pieces });
      if (reply !== 'stored') throw new Error(`expected to store, got ${reply}`);
    },
    seal: () => logs.seal(job_id, claim),
    async adopt() {
      claim = { ...claim, owner: randomUUID() };
      await redis.hset(keys.job(job_id), 'owner', claim.owner);
      first = (await logs.readPosition(job_id, claim.epoch)).pieces + 1;
    },
  };
};

export const toPiece = (bytes: Buffer | string, stream: LogPiece['stream'] = 'stdout'): LogPiece => ({
  stream,
  attempt: 1,
  bytes: Buffer.from(bytes),
});
