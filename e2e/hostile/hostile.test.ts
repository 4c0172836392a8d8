import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';
import { type HostileJob, MAX_OUTPUTS, STANDARD_MB } from './hostile-job.js';

const folder = new URL('jobs/', import.meta.url).pathname;
const jobs = await Promise.all(
  readdirSync(folder).map(async (name): Promise<HostileJob> => (await import(join(folder, name))).job),
);

const CLASSES = [
  { name: 'standard', max_cpus: 2, max_memory_mb: STANDARD_MB },
  { name: 'strict', max_cpus: 2, max_memory_mb: 2_048, profile: 'strict' },
];
/** What writes most takes a quarter of a minute on a machine that is not busy. */
const ENDED_MS = 150_000;
const NEIGHBOUR_LINES = 15;
/** It goes on until it is told to end. */
const NEIGHBOUR = {
  command: `i=0; while [ $i -lt ${NEIGHBOUR_LINES} ]; do echo $i; usleep 100000; i=$((i + 1)); done; until [ -e /tmp/end ]; do usleep 50000; done`,
  cpus: 0.5,
  memory_mb: 16,
};
const NEIGHBOUR_STDOUT = Array.from({ length: NEIGHBOUR_LINES }, (_, i) => `${i}\n`).join('');

describe('hostile jobs', () => {
  const docker = new Docker();
  const files = mkdtempSync(join(tmpdir(), 'berth-hostile-'));
  let berth: Berth;
  let made: Awaited<ReturnType<typeof watchMade>>;
  beforeAll(async () => {
    const classes = join(files, 'classes.json');
    writeFileSync(classes, JSON.stringify(CLASSES));
    const outputs = {
      BERTH_MAX_OUTPUT_FILES: String(MAX_OUTPUTS.files),
      BERTH_MAX_OUTPUT_BYTES: String(MAX_OUTPUTS.bytes),
    };
    berth = await startBerth({
      env: { BERTH_CLASSES_FILE: classes, BERTH_LOG_LIMIT_BYTES: String(10 * 1024 ** 2), ...outputs },
    });
    made = await watchMade(docker, berth.prefix);
  });
  afterAll(async () => {
    made?.close();
    rmSync(files, { recursive: true });
    await berth?.close();
  });

  const readStdout = async (job_id: string) =>
    (await fetch(`${berth.url}/v1/jobs/${job_id}/logs?stream=stdout`)).text();

  const letEnd = async (job_id: string) => {
    const [id = ''] = made.of(job_id);
    const touch = await docker.getContainer(id).exec({ Cmd: ['touch', '/tmp/end'] });
    await touch.start({ Detach: true });
  };

  /** It runs still. */
  const expectUnharmed = async (job_id: string) => {
    await letEnd(job_id);
    const neighbour = await berth.wait(job_id);
    expect(neighbour).toMatchObject({ state: 'completed', exit_code: 0, stdout: NEIGHBOUR_STDOUT });
    expect(neighbour.attempts).toMatchObject([{ evidence: { oom_kills: 0, asked_by: null } }]);
  };

  const expectNothingLeft = async (job_id: string) => {
    await until('its container to be gone', async () =>
      (await berth.containers()).some((name) => name.includes(job_id)) ? undefined : true,
    );
    expect(made.of(job_id)).toHaveLength(1);
    expect(made.of(job_id).flatMap(listProcesses)).toEqual([]);
    const filters = JSON.stringify({ label: [`berth.job=${job_id}`] });
    // The engine takes a container off its list before its volumes.
    await until('its volumes to be gone', async () => {
      const { Volumes } = (await docker.listVolumes({ filters } as object)) as { Volumes: unknown[] | null };
      return (Volumes ?? []).length === 0 || undefined;
    });
  };

  const run = async ({ spec, ends, evidence, ...more }: HostileJob) => {
    const growth = await watchGrowth(more.worker_growth_mb === undefined ? undefined : berth);
    const { job_id: neighbour } = await berth.submit(NEIGHBOUR);
    await berth.waitForState(neighbour, 'running');
    const { job_id } = await berth.submit(spec);
    await more.meanwhile?.({
      countProcesses: () => made.of(job_id).flatMap(listProcesses).length,
      until: async (what, look) => void (await until(what, async () => look() || undefined)),
    });
    const ended = await berth.wait(job_id, ENDED_MS);
    expect(growth.stop()).toBeLessThan(more.worker_growth_mb ?? Number.POSITIVE_INFINITY);
    expect(ended).toMatchObject(ends);
    expect(ended.attempts).toMatchObject([{ evidence }]);
    more.stdout?.(await readStdout(job_id));
    more.left?.((await berth.request('GET', `/v1/jobs/${job_id}/artifacts?limit=1000`)).body as never);
    await expectUnharmed(neighbour);
    await expectNothingLeft(job_id);
  };

  for (const job of jobs) it(job.title, { timeout: 2 * ENDED_MS }, () => run(job));
});

/** Keeps the ids of the containers that are made for jobs, also of those that are gone. */
const watchMade = async (docker: Docker, installation: string) => {
  const made = new Map<string, string[]>();
  const label = [`berth.installation=${installation}`, 'berth.job'];
  const filters = JSON.stringify({ type: ['container'], event: ['create'], label });
  const events = (await docker.getEvents({ filters } as object)) as unknown as Readable;
  events.on('error', () => undefined);
  createInterface({ input: events }).on('line', (line) => {
    const { ID, Attributes } = (JSON.parse(line) as Created).Actor;
    const job_id = Attributes['berth.job'] ?? '';
    made.set(job_id, [...(made.get(job_id) ?? []), ID]);
  });
  return { of: (job_id: string): string[] => made.get(job_id) ?? [], close: () => events.destroy() };
};

interface Created {
  Actor: { ID: string; Attributes: Record<string, string> };
}

/** Whoever is still in the container's control group, however it has hidden from its parents. A zombie is in none. */
const listProcesses = (container: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => readQuietly(`/proc/${pid}/cgroup`).includes(container));

const readQuietly = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** How many MB the worker grew at most. The first output that reaches the limit of a log grows its heap once, whatever comes after. */
const watchGrowth = async (berth: Berth | undefined) => {
  if (berth === undefined) return { stop: () => 0 };
  const warm = await berth.submit({ command: "head -c 20000000 /dev/zero | tr '\\0' x", memory_mb: 64 });
  await berth.wait(warm.job_id);
  const read = () => Number(/VmRSS:\s+(\d+)/.exec(readQuietly(`/proc/${berth.workers[0]?.pid}/status`))?.[1]) / 1024;
  const before = read();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, read());
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      return peak - before;
    },
  };
};
