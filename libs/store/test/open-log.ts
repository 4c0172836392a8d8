import type { LogPiece, LogStream, Store } from '@berth/store';
import { expect } from 'vitest';
import { claim, submit, toClaimant } from './open-test-store.js';

const PLENTY = { centicpus: 1_000_000, memory_mb: 10_000_000, gpus: 0 };

export const piece = (text: string | Buffer, stream: LogStream = 'stdout', attempt = 1): LogPiece => ({
  stream,
  attempt,
  bytes: Buffer.from(text),
});

/** A running job, and a worker that adds to its log. */
export const openLog = async (store: Store, job_id?: string) => {
  const held = await claim(store, job_id ?? (await submit(store)), toClaimant({ capacity: PLENTY }));
  let first = 1;
  const append = async (...pieces: LogPiece[]) => {
    const sent = first;
    first += pieces.length;
    expect(await store.logs.append(held, { first: sent, pieces })).toBe('stored');
  };
  return { held, id: held.job_id, append };
};

export const readAll = async (store: Store, id: string) => {
  const entries = await store.logs.readAfter(id);
  for (let page = entries; page.length > 0; entries.push(...page)) {
    page = await store.logs.readAfter(id, entries.at(-1)?.id);
  }
  return entries;
};
