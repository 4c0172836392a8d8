import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { until } from '../harness.js';
import { describeFaults, slowIt } from './rows.js';
import {
  type Kind,
  loseMachine,
  openRemoteApi,
  openStalledClients,
  type RemoteApi,
  type Said,
} from './stalled-clients.js';
import { openWorld, type World } from './world.js';

const MIB = 1024 ** 2;
const BURST = 4 * MIB;
const WIDTH = 6_000;
/** First megabytes at once, then kilobytes at a time until it is told to end. */
const step = `printf '%0${WIDTH}d\\n' $i; usleep 100000; i=$((i + 1))`;
const chattyJob = {
  command: `head -c ${BURST} /dev/zero | tr '\\0' y; i=0; while [ ! -e /tmp/end ]; do ${step}; done; printf "end $i"; exit 3`,
  cpus: 0.5,
  memory_mb: 32,
};
const toStdout = (lines: number): string => {
  const written = Array.from({ length: lines }, (_, i) => `${String(i).padStart(WIDTH, '0')}\n`);
  return `${'y'.repeat(BURST)}${written.join('')}end ${lines}`;
};

const CLIENTS = {
  ...{ stalled: 200, gone: 50, vanished: 50, slow: 30, honest: 5, returning: 3 },
  ...{ stalled_events: 150, honest_events: 12 },
};
const WILL_STALL = ['stalled', 'gone', 'returning'] as const;
const STALLING = CLIENTS.stalled + CLIENTS.gone + CLIENTS.returning;
/** The longest that a client may stand still. */
const LET_GO_MS = 30_000;

describeFaults('readers that stand still', () => {
  let world: World;
  let api: RemoteApi;
  beforeAll(async () => {
    world = await openWorld({ apis: 1, workers: 1 });
    api = await openRemoteApi(world);
  });
  afterAll(() => world?.close());

  const countIs = (count: number, ...kinds: Kind[]) =>
    until(
      `${count} connections of those that are ${kinds.join(', ') || 'there'}`,
      async () => (api.countConnections(...kinds) === count ? true : undefined),
      100_000,
    );

  slowIt(
    'row 41: five hundred clients that stall, vanish or are slow cost the API little, are let go, and harm no other reader',
    { timeout: 240_000 },
    async () => {
      const { job_id } = await world.submit(chattyJob);
      await until('the burst to be stored', async () => (await readLength(world, job_id)) >= BURST || undefined);
      const stopWatch = startWatch(api);
      const clients = await openStalledClients(world, job_id, CLIENTS);
      await countIs(STALLING, ...WILL_STALL);
      const readStalls = api.watchStalls(...WILL_STALL);
      await loseMachine(world, 'gone');
      await countIs(0, 'vanished');
      await countIs(0, ...WILL_STALL);
      const stood_ms = readStalls();
      expect(stood_ms).toHaveLength(STALLING);
      expect(Math.max(...stood_ms)).toBeLessThan(LET_GO_MS);
      expect(await world.job(job_id)).toMatchObject({ state: 'running' });
      clients.sendBack();
      await countIs(CLIENTS.returning, 'returning');
      await letEnd(world, job_id);
      await until('the others to have come to their end', async () => clients.said().find(({ over }) => over), 100_000);
      expect(stopWatch()).toBeLessThan(256 * MIB);

      const said = clients.said();
      const stdout = toStdout(Number(/end (\d+)$/.exec((await world.job(job_id)).stdout)?.[1]));
      expectWhole(said, stdout);
      expectAnswers(said);
      await countIs(0);
      const ids = said.flatMap((line) => line.job_id ?? []);
      appendFileSync(join(world.folder, 'accepted'), ids.map((id) => `${id}\n`).join(''));
      await world.verify({ expectedLog: (job) => (job.job_id === job_id ? Buffer.from(stdout) : undefined) });
    },
  );
});

const END = { state: 'failed', exit_code: 3, cause: 'exit_code' };

/** Every byte, once, for all who read to the end, also those that were cut off and came back. */
const expectWhole = (said: Said[], stdout: string): void => {
  const sha256 = createHash('sha256').update(stdout).digest('hex');
  const of = (kind: Kind) => {
    const heard = said.filter((line) => line.kind === kind);
    expect(heard, kind).toHaveLength(CLIENTS[kind]);
    return heard;
  };
  for (const kind of ['slow', 'honest', 'returning'] as const)
    for (const line of of(kind))
      expect(line, kind).toMatchObject({ sha256, bytes: stdout.length, others: [], end: END });
  for (const line of of('returning')) expect(line).toMatchObject({ was_cut: true });
  for (const line of of('honest_events')) expect(line).toMatchObject({ events: 4, others: [], end: END });
};

const readLength = async ({ store }: World, job_id: string): Promise<number> => {
  const { epoch } = (await store.jobs.read(job_id)) ?? { epoch: 0 };
  return (await store.logs.readPosition(job_id, epoch)).stdout.bytes;
};

const letEnd = async (world: World, job_id: string): Promise<void> => {
  const [found] = await world.containers(job_id);
  const container = world.engines[0]?.docker.getContainer(found?.Id ?? '');
  const made = await container?.exec({ Cmd: ['touch', '/tmp/end'] });
  await made?.start({ Detach: true });
};

/** By how much the API grows at the most. */
const startWatch = (api: RemoteApi) => {
  const before = api.readMemory();
  let most = before;
  const looking = setInterval(() => {
    if (api.program.alive) most = Math.max(most, api.readMemory());
  }, 100);
  return () => {
    clearInterval(looking);
    process.stdout.write(`the API grew from ${Math.round(before / MIB)} to ${Math.round(most / MIB)} MiB\n`);
    return most - before;
  };
};

const expectAnswers = (said: Said[]): void => {
  const asked = said.filter((line) => line.asked !== undefined);
  expect(asked.length).toBeGreaterThan(40);
  expect([...new Set(asked.map(({ asked, status }) => `${asked} ${status}`))].sort()).toEqual([
    'health 200',
    'submit 201',
  ]);
  const took_ms = asked.map(({ ms = 0 }) => ms).sort((a, b) => a - b);
  expect(took_ms[Math.floor(took_ms.length * 0.95)]).toBeLessThan(2_000);
};
