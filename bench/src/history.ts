import { setTimeout as sleep } from 'node:timers/promises';
import { jobSpecSchema, toAsk } from '@berth/domain';
import { openHistory } from '@berth/history';
import { openPostgres, type Postgres } from '@berth/local';
import { createStore, type Store } from '@berth/store';
import pg from 'pg';
import { fillArchive, RARE } from './archived-jobs.js';
import type { Bench } from './bench.js';
import { openApi } from './berth.js';
import { type Client, createClient } from './client.js';
import type { Figure, Section } from './figure.js';
import { runLanes } from './lanes.js';
import { percentile } from './statistics.js';
import { typicalSpec } from './typical-job.js';

const ARCHIVED = 1_000_000;
const MOVED = 20_000;
const PREFIX = 'bench_history';
const PAGES = 60;
const MOST_MS = 50;
const HOUR_MS = 3_600_000;

/** What a list is asked for; `%AGO(h)` is a time so many hours ago. */
const FILTERS: Record<string, string> = {
  'no filter': '',
  'user, common': 'user=user-0',
  'user, rare': `user=${RARE.user}`,
  'state, common': 'state=completed',
  'state, 2 %': 'state=cancelled',
  'cause, common': 'cause=exit_code',
  'cause, rare': `cause=${RARE.cause}`,
  'class, common': 'class=small',
  'class, rare': 'class=gpu',
  'label, 20 %': 'label=team=t1',
  'label, only on the oldest tenth': 'label=era=old',
  'label, rare': `label=${RARE.label}`,
  'name, 0.1 %': 'name=name-7',
  'name, rare': `name=${RARE.name}`,
  'node, 2 %': 'node=node-3',
  'node, rare': `node=${RARE.node}`,
  'created, an hour two weeks ago': 'created_after=%AGO(337)&created_before=%AGO(336)',
  'finished, an hour two weeks ago': 'finished_after=%AGO(337)&finished_before=%AGO(336)',
  'finished, before two weeks ago': 'finished_before=%AGO(336)',
  'user and state': 'user=user-1&state=cancelled',
  'user and cause, rare': `user=user-40&cause=${RARE.cause}`,
  'user and label': 'user=user-40&label=project=p7',
  'label and state': 'label=project=p9&state=failed',
  'common label and rare class': 'label=team=t1&class=gpu',
  'old label and state': 'label=era=old&state=completed',
  'class and node': 'class=gpu&node=node-0',
  'label and node, nothing': 'label=era=old&node=node-rare&state=cancelled',
  'name and state, nothing': 'name=name-7&state=pending',
};

const toQuery = (text: string): string =>
  text
    .replaceAll(/%AGO\((\d+)\)/g, (_, hours) => new Date(Date.now() - Number(hours) * HOUR_MS).toISOString())
    .replaceAll(/=([^&]*)/g, (_, value) => `=${encodeURIComponent(value)}`);

const toCursor = (ids: string[]): string =>
  Buffer.from(`1:${ids[Math.floor(Math.random() * ids.length)]}`).toString('base64url');

/** Pages one after the other, half of them the first and half from anywhere in the list. */
const measureFilter = async (client: Client, name: string, ids: string[]): Promise<Figure> => {
  const times: number[] = [];
  let rows = 0;
  for (let i = 0; i < PAGES + 6; i += 1) {
    const place = i % 2 === 0 ? '' : `&cursor=${toCursor(ids)}`;
    const began = performance.now();
    const { status, body } = await client.call(
      'GET',
      `/v1/jobs?${toQuery(FILTERS[name] ?? '')}${place}`.replace('?&', '?'),
    );
    if (status !== 200) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`);
    if (i < 6) continue;
    times.push(performance.now() - began);
    rows += (body as { jobs: unknown[] }).jobs.length;
  }
  const note = `p50 ${percentile(times, 0.5).toFixed(1)} ms, ${(rows / PAGES).toFixed(0)} jobs a page`;
  return { name: `list: ${name}, p95`, value: percentile(times, 0.95), unit: 'ms', target: { at_most: MOST_MS }, note };
};

const measureUsage = async (client: Client): Promise<Figure> => {
  const began = performance.now();
  const { status, body } = await client.call(
    'GET',
    `/v1/usage?by=user&from=${encodeURIComponent('2020-01-01T00:00:00Z')}`,
  );
  if (status !== 200) throw new Error(`usage: ${status} ${JSON.stringify(body)}`);
  return { name: 'usage by user, of all of them, once', value: performance.now() - began, unit: 'ms' };
};

const endJobs = async (store: Store, count: number): Promise<void> => {
  const parsed = jobSpecSchema.parse(typicalSpec);
  const spec = { ...parsed, image: typicalSpec.image };
  await runLanes(count, 64, async () => {
    const { job_id } = await store.jobs.accept({ spec, class: 'small', ask: toAsk(spec) });
    await store.jobs.cancel(job_id);
  });
};

/** From the first job that is seen to leave Redis to the last. */
const measureMoves = async (store: Store): Promise<Figure> => {
  const count = async () => (await store.archiving.countFinished(0)).all;
  const all = await count();
  let left = all;
  for (; left === all; left = await count()) await sleep(5);
  const [began, first] = [performance.now(), left];
  for (; left > 0; left = await count()) await sleep(20);
  const value = (first / (performance.now() - began)) * 1000;
  return { name: 'archiving', value, unit: 'jobs/s', note: `${first} jobs, one API, beside ${ARCHIVED} archived ones` };
};

const measureAll = async ({ broker, folder }: Bench, postgres: Postgres, pool: pg.Pool): Promise<Figure[]> => {
  const store = createStore(broker.redis, PREFIX);
  await endJobs(store, 1);
  const [sampleId = ''] = await store.archiving.findFinished(0, 1);
  const [sample] = await store.archiving.readStored([sampleId]);
  if (!sample) throw new Error('there is no finished job');
  const began = performance.now();
  await fillArchive(pool, { schema: PREFIX, rows: ARCHIVED, sample });
  console.log(`  ${ARCHIVED} rows made in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  const { rows } = await pool.query(`SELECT id FROM ${PREFIX}.jobs TABLESAMPLE SYSTEM (0.2)`);
  await endJobs(store, MOVED);
  const env = {
    REDIS_URL: broker.url,
    BERTH_PREFIX: PREFIX,
    DATABASE_URL: postgres.url,
    BERTH_ARCHIVE_AFTER_SECONDS: '0',
  };
  const api = await openApi({ folder, env });
  const client = createClient(api.port);
  try {
    const figures = [await measureMoves(store)];
    for (const name of Object.keys(FILTERS))
      figures.push(
        await measureFilter(
          client,
          name,
          rows.map(({ id }) => id),
        ),
      );
    return [...figures, await measureUsage(client)];
  } finally {
    client.close();
    await api.stop();
  }
};

/** How fast finished jobs leave Redis, and how long lists take among a million that did. */
export const benchHistory = async (bench: Bench): Promise<Section> => {
  await bench.broker.clear();
  // What is archived is on disk all the same: the archiver asks for that by itself.
  const postgres = await openPostgres([
    'shared_buffers=1GB',
    'max_wal_size=8GB',
    'synchronous_commit=off',
    'checkpoint_timeout=30min',
  ]);
  const pool = new pg.Pool({ connectionString: postgres.url });
  try {
    const history = await openHistory({
      url: postgres.url,
      prefix: PREFIX,
      onError: (error) => console.log(error.message),
    });
    await history.close();
    const figures = await measureAll(bench, postgres, pool);
    const setting =
      `${postgres.version} with 1 GB of shared buffers, every batch on disk before it leaves Redis; GET /v1/jobs with 50 a page, one at a time, ` +
      `${PAGES} a filter, half of them the first page and half from anywhere`;
    return { title: 'history', setting, figures };
  } finally {
    await pool.end();
    await postgres.close();
    await bench.broker.clear();
  }
};
