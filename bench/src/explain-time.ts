import type { Claim, Claimant, Store } from '@berth/store';
import type { Redis } from 'ioredis';
import { type Client, createClient } from './client.js';
import type { Figure } from './figure.js';
import { readProcessCpu } from './machine.js';
import { toClaimant } from './pick-time.js';
import { percentile } from './statistics.js';
import { CLASS } from './waiting-jobs.js';

const NODES = 20;
const ASKS = 600;
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

interface Nodes {
  /** Lets them take what they can. How many jobs run then. */
  fill(): Promise<number>;
  close(): void;
}

/** Machines that stay, with what runs on them. */
const openNodes = async (store: Store): Promise<Nodes> => {
  const nodes = Array.from({ length: NODES }, (_, i) => ({
    by: toClaimant(`node-${i}`, CAPACITY),
    claims: [] as Claim[],
  }));
  const renew = () =>
    Promise.all(
      nodes.map(async ({ by, claims }) => {
        await reportNode(store, by, claims.length);
        await store.claims.renew(claims);
      }),
    );
  await renew();
  const timer = setInterval(() => renew().catch(() => undefined), RENEWAL_MS);
  return {
    async fill() {
      for (const { by, claims } of nodes) claims.push(...(await fillNode(store, by)));
      await renew();
      return nodes.reduce((sum, { claims }) => sum + claims.length, 0);
    },
    close: () => clearInterval(timer),
  };
};

const ask = async (client: Client, path: string): Promise<{ status: number; ms: number }> => {
  const began = performance.now();
  const { status } = await client.call('GET', path);
  return { status, ms: performance.now() - began };
};

interface Asked {
  store: Store;
  port: number;
  redis: Redis;
  /** The API's and Redis's. */
  pids: readonly number[];
}

interface Times {
  explain: number[];
  /** The same jobs, read: what a request costs that needs no look at the others. */
  read: number[];
  /** Of the API and Redis, an explanation and a read, with what both do meanwhile anyway. */
  cpu_ms: number;
}

/** Of each job first its explanation, then its record. Undefined where the API has no such route. */
const measureTimes = async (client: Client, ids: string[], pids: readonly number[]): Promise<Times | undefined> => {
  const times: Times = { explain: [], read: [], cpu_ms: Number.NaN };
  let before = 0;
  for (const [i, job_id] of ids.entries()) {
    if (i === WARM_UP) before = readProcessCpu(pids);
    const { status, ms } = await ask(client, `/v1/jobs/${job_id}/explain`);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`explain answered ${status}`);
    const bare = await ask(client, `/v1/jobs/${job_id}`);
    if (i < WARM_UP) continue;
    times.explain.push(ms);
    times.read.push(bare.ms);
  }
  times.cpu_ms = (readProcessCpu(pids) - before) / times.explain.length;
  return times;
};

/**
 * One after the other, of jobs from all over the backlog. Where the machine stands still for a moment, a bare read of the record shows it as an
 * explanation does: its times stand beside. A word in place of times where the API has no such route.
 */
const measureState = async (client: Client, state: string, { redis, store, pids }: Asked): Promise<Figure[]> => {
  const name = `explain, p95, ${state}`;
  const all = await redis.zrange(store.keys.jobsInState('pending'), '0', '-1');
  const ids = Array.from(
    { length: ASKS + WARM_UP },
    (_, i) => all[Math.floor((i * all.length) / (ASKS + WARM_UP))] ?? '',
  );
  const times = await measureTimes(client, ids, pids);
  if (!times) return [{ name, unit: 'ms', value: Number.NaN, note: 'skipped: no such route' }];
  const toFigure = (values: number[], of: string) => ({
    value: percentile(values, 0.95),
    unit: 'ms',
    note: `p50 ${percentile(values, 0.5).toFixed(1)} ms, ${of}`,
  });
  const of = `${ASKS} jobs of ${all.length} pending, one at a time, after ${WARM_UP}`;
  return [
    { name, target: { at_most: 20 }, ...toFigure(times.explain, of) },
    { name: 'the same jobs read, p95, in turn with it', ...toFigure(times.read, 'GET /v1/jobs/{id}') },
    { name: 'CPU of the API and Redis, both together', value: times.cpu_ms, unit: 'ms', note: 'a job' },
  ];
};

/** Where every user's quota keeps their jobs from machines that have room, and where the machines are full. */
export const measureExplain = async (asked: Asked): Promise<Figure[]> => {
  const { store, port } = asked;
  const client = createClient(port);
  await store.quotas.set({ user: '*' }, { max_running: 1 });
  const nodes = await openNodes(store);
  try {
    const few = `${NODES} machines with ${await nodes.fill()} jobs, every user at a quota`;
    const idle = await measureState(client, few, asked);
    await store.quotas.remove({ user: '*' });
    const full = await measureState(client, `${NODES} full machines with ${await nodes.fill()} jobs`, asked);
    return [...full, ...idle];
  } finally {
    nodes.close();
    client.close();
  }
};
