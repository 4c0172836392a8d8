import { randomUUID } from 'node:crypto';
import type { Claim, LogPiece } from '@berth/store';
import { openRedis } from '@berth/store';
import { onTestFinished } from 'vitest';
import { startJob, type TestApi } from './open-test-api.js';

/** Plays the workers of one running job: they write, seal, and take it over from one another. */
export const openWriter = async (api: TestApi) => {
  const { logs, keys } = api.store;
  const job_id = await api.submit();
  let claim: Claim = await startJob(api.store, job_id);
  let first = 1;
  const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
  onTestFinished(() => redis.disconnect());
  return {
    job_id,
    claim: () => claim,
    async write(...pieces: LogPiece[]): Promise<void> {
      const sent = first;
      first += pieces.length;
      const reply = await logs.append(claim, { first: sent, pieces });
      if (reply !== 'stored') throw new Error(`expected to store, got ${reply}`);
    },
    seal: () => logs.seal(job_id, claim),
    /** Another worker goes on, from what it finds stored. */
    async adopt(): Promise<void> {
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
