import type { Claim, Claimant, Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { type Client, createClient } from './client.js';
import type { Figure } from './figure.js';
import { toClaimant } from './pick-time.js';
import { percentile } from './statistics.js';
import { CLASS } from './waiting-jobs.js';

const NODES = 20;
const ASKS = 200;
const WARM_UP = 100;
const CAPACITY = { centicpus: 1_600, memory_mb: 65_536, gpus: 0 };
/** Well within a lease, and within the time after which a machine counts as lost. */
const RENEWAL_MS = 4_000;

/** A machine as its worker reports it; a report is good for half a minute. */
const reportNode = (store: Store, { worker, node, engine, capacity }: Claimant, running: number): Promise<void> =>
  store.workers.report({
    ...{ worker, node, engine, capacity, running, version: 'bench', engine_version: 'bench', oci_runtime: 'crun' },
    ...{ classes: ['small', CLASS], started_at: Date.now() },
  });

/** Takes jobs until nothing fits any more. */
const fillNode = async (store: Store, by: Claimant): Promise<Claim[]> => {
  const claims: Claim[] = [];
  for (;;) {
    const [dispatch] = await store.backlog.dispatch(CLASS, 10_000, 1);
    const reply = dispatch && (await store.claims.draw(CLASS, dispatch.ticket, by));
    if (reply?.kind !== 'claimed') return claims;
    await store.claims.start(reply.claim, 'sha256:bench');
    claims.push(reply.claim);
  }
};

/** Machines that are full and stay so. */
const openNodes = async (store: Store): Promise<{ running: number; close: () => void }> => {
  const nodes = Array.from({ length: NODES }, (_, i) => toClaimant(`node-${i}`, CAPACITY));
  const filled: { by: Claimant; claims: Claim[] }[] = [];
  for (const by of nodes) filled.push({ by, claims: await fillNode(store, by) });
  const renew = () =>
    Promise.all(
      filled.map(async ({ by, claims }) => {
        await reportNode(store, by, claims.length);
        await store.claims.renew(claims);
      }),
    );
  await renew();
  const timer = setInterval(() => renew().catch(() => undefined), RENEWAL_MS);
  return { running: filled.flatMap(({ claims }) => claims).length, close: () => clearInterval(timer) };
};

const ask = async (client: Client, job_id: string): Promise<{ status: number; ms: number }> => {
  const began = performance.now();
  const { status } = await client.call('GET', `/v1/jobs/${job_id}/explain`);
  return { status, ms: performance.now() - began };
};

/** One after the other, of jobs from all over the backlog. A word in place of times where the API has no such route. */
export const measureExplain = async (redis: Redis, store: Store, port: number): Promise<Figure> => {
  const client = createClient(port);
  const nodes = await openNodes(store);
  const name = `explain, p95, ${NODES} full machines with ${nodes.running} jobs`;
  const figure = { name, unit: 'ms', target: { at_most: 20 } };
  try {
    const all = await redis.zrange(store.keys.jobsInState('pending'), '0', '-1');
    const ids = Array.from(
      { length: ASKS + WARM_UP },
      (_, i) => all[Math.floor((i * all.length) / (ASKS + WARM_UP))] ?? '',
    );
    const times: number[] = [];
    for (const [i, job_id] of ids.entries()) {
      const { status, ms } = await ask(client, job_id);
      if (status === 404) return { name: figure.name, unit: 'ms', value: Number.NaN, note: 'skipped: no such route' };
      if (status !== 200) throw new Error(`explain answered ${status}`);
      if (i >= WARM_UP) times.push(ms);
    }
    const note = `p50 ${percentile(times, 0.5).toFixed(1)} ms, ${ASKS} jobs of ${all.length} pending, one at a time, after ${WARM_UP}`;
    return { ...figure, value: percentile(times, 0.95), note };
  } finally {
    nodes.close();
    client.close();
  }
};
