import { until } from '../harness.js';
import type { EngineProxy } from './engine-proxy.js';
import { sideEffectJob } from './ledger.js';
import type { Worker } from './worker.js';
import type { World } from './world.js';

/** A job that writes to the ledger once and then a line to each stream every so often, and what its stdout is in the end. */
export interface WritingJob {
  spec: ReturnType<typeof sideEffectJob>;
  stdout: string;
}

const toScript = (test: string, { exit_code = 0, pause_ms = 100, held = false }): string => {
  const step = `printf 'line %d: %0*d ä€\\n' $i $((i % 40)) $i; echo $i >&2; usleep ${pause_ms * 1000}`;
  const hold = held ? 'until [ -e /tmp/end ]; do usleep 100000; done; ' : '';
  return `i=0; while [ ${test} ]; do ${step}; i=$((i + 1)); done; ${hold}printf "end $i"; exit ${exit_code}`;
};

const toStdout = (lines: number): string => {
  const written = Array.from({ length: lines }, (_, i) => `line ${i}: ${String(i).padStart(i % 40, '0')} ä€\n`);
  return `${written.join('')}end ${lines}`;
};

/**
 * At least `lines` times `pause_ms` long; `held`: its last words wait for `letEnd`. Lines differ in length, and not all of their characters
 * are one byte long.
 */
export const writingJob = (
  lines: number,
  { exit_code = 0, pause_ms = 100, held = false, ...more } = {},
): WritingJob => ({
  spec: sideEffectJob(toScript(`$i -lt ${lines}`, { exit_code, pause_ms, held }), more),
  stdout: toStdout(lines),
});

/** The same, but it goes on until `letEnd`: what is done to it meanwhile may take as long as it likes. */
const endlessJob = (exit_code: number) => sideEffectJob(toScript('! -e /tmp/end', { exit_code }));

/** Ends running jobs that wait for it; what is paused is told once it goes on. */
export const letEnd = async (world: World, job_ids: string[]): Promise<void> => {
  const touch = async (job_id: string): Promise<true | undefined> => {
    const [found] = await world.containers(job_id);
    if (found === undefined || found.State === 'exited') return true;
    for (const { docker } of world.engines) {
      const made = await docker
        .getContainer(found.Id)
        .exec({ Cmd: ['touch', '/tmp/end'] })
        .catch(() => undefined);
      await made?.start({ Detach: true });
      if (made) return true;
    }
    return undefined;
  };
  await Promise.all(job_ids.map((job_id) => until(`job ${job_id} to be told to end`, () => touch(job_id))));
};

/** What became of a job, in the words of the rows' required outcomes. */
export const readTale = async ({ store, ledger }: Pick<World, 'store' | 'ledger'>, job_id: string) => {
  const [record, history] = await Promise.all([store.jobs.read(job_id), store.jobs.readHistory(job_id)]);
  if (record === null) throw new Error(`job ${job_id} is not there`);
  const { state, cause, exit_code, epoch, attempt } = record;
  return {
    state,
    cause,
    exit_code,
    epoch,
    attempt,
    adoptions: history.filter(({ type }) => type === 'adopted').length,
    side_effects: ledger.read(job_id).map((line) => line.epoch),
  };
};

/** When the job's last adoption was, in unix ms, once there have been `count`. */
export const findAdoption = async ({ store }: Pick<World, 'store'>, job_id: string, count = 1) =>
  (await store.jobs.readHistory(job_id)).filter(({ type }) => type === 'adopted').at(count - 1)?.at;

/** All that is stored of its output: stdout, and what Berth itself has noted in it. */
export const readStored = async ({ store }: Pick<World, 'store'>, job_id: string) => {
  const stdout: Buffer[] = [];
  const notes: string[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.logs.readAfter(job_id, after);
    after = page.at(-1)?.id;
    if (after === undefined) return { stdout: Buffer.concat(stdout).toString(), notes };
    for (const { stream, bytes } of page) {
      if (stream === 'stdout') stdout.push(bytes);
      if (stream === 'note') notes.push(bytes.toString());
    }
  }
};

interface LogEvent {
  event: string;
  data: { stream?: string; text?: string };
}

const toLogEvent = (frame: string): LogEvent => ({
  event: /^event: (.*)$/m.exec(frame)?.[1] ?? 'heartbeat',
  data: JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? '{}'),
});

/** Follows a job's stdout on one stream of events. `finish` settles when the stream ends, with what it told: all text in its order, and its last event. */
export const followStdout = async ({ apis }: Pick<World, 'apis'>, job_id: string) => {
  const stop = new AbortController();
  const response = await fetch(`${apis[0]?.url}/v1/jobs/${job_id}/logs?stream=stdout`, {
    headers: { accept: 'text/event-stream' },
    signal: stop.signal,
  });
  const told = response.text().then((text) => text.split('\n\n').filter(Boolean).map(toLogEvent));
  told.catch(() => undefined);
  return {
    finish: async () => {
      const events = await told;
      const text = events.map(({ event, data }) => (event === 'log' ? data.text : '')).join('');
      return { text, last: events.at(-1)?.event };
    },
    leave: () => stop.abort(),
  };
};

/** What such a job must have written, by its own word for how many lines there were. */
const toWhole = (stdout: string): string => toStdout(Number(/end (\d+)$/.exec(stdout)?.[1] ?? 0));

/** Lets endless jobs end, and reads what became of each. `whole`: every byte of its output is stored once, and nothing is noted. */
export const endAndRead = async (world: World, job_ids: string[]) => {
  await letEnd(world, job_ids);
  const read = async (job_id: string) => {
    await world.wait(job_id);
    const { stdout, notes } = await readStored(world, job_id);
    return { ...(await readTale(world, job_id)), whole: stdout === toWhole(stdout) && notes.length === 0 };
  };
  return Promise.all(job_ids.map(read));
};

/** A job that waits for `letEnd`, once it has begun to write, and its container. */
export const startEndless = async (world: World, exit_code: number) => {
  const { job_id } = await world.submit(endlessJob(exit_code));
  await until('its output', async () => (await readStored(world, job_id)).stdout || undefined, 60_000);
  const [found] = await world.containers(job_id);
  return { job_id, exit_code, container: found?.Id ?? '' };
};

/** The containers of jobs that a worker makes are told from those by which it tries out its engine. */
const JOB_CONTAINER = /^\/containers\/create\?name=berth-([0-9a-f-]{36})-e\d+/;

/** Notes the ids of the containers that workers make for jobs from now on. */
export const watchMade = (proxies: EngineProxy[]) => {
  const made = new Map<string, string>();
  const rules = proxies.map((proxy) =>
    proxy.after({ method: 'POST', path: JOB_CONTAINER, times: Number.POSITIVE_INFINITY }, ({ path, body }) => {
      const { Id } = JSON.parse(body ?? '{}') as { Id?: string };
      if (Id !== undefined) made.set(Id, JOB_CONTAINER.exec(path)?.[1] ?? '');
    }),
  );
  return {
    /** The job of the container that a call names. */
    jobOf: (path: string): string | undefined => made.get(/^\/containers\/([0-9a-f]{64})/.exec(path)?.[1] ?? ''),
    /** How many have been made for the job. */
    count: (job_id: string): number => [...made.values()].filter((id) => id === job_id).length,
    remove: () => {
      for (const rule of rules) rule.remove();
    },
  };
};

/** The points on the way of a job's container at which its worker may die. */
const POINTS = {
  'before the create': { when: 'before', method: 'POST', path: JOB_CONTAINER },
  'after the create, before its reply': { when: 'after', method: 'POST', path: JOB_CONTAINER },
  'before the start': { when: 'before', method: 'POST', path: /\/start$/ },
  'after the start, before its reply': { when: 'after', method: 'POST', path: /\/start$/ },
  'at the look that shows the end': { when: 'after', method: 'GET', path: /\/json$/ },
  'before the removal': { when: 'before', method: 'DELETE', path: /^\/containers\// },
} as const;
export type Point = keyof typeof POINTS;

const showsEnd = (body: string | undefined): boolean =>
  (JSON.parse(body ?? '{}') as { State?: { Status?: string } }).State?.Status === 'exited';

/** The first worker that comes to this point with a job does what is said. Settles with that worker when it is done. */
export const atPoint = (workers: Worker[], point: Point, act: (worker: Worker) => Promise<unknown>) => {
  const { when, method, path } = POINTS[point];
  const made = watchMade(workers.map(({ proxy }) => proxy));
  const isIt = (call: { path: string; body?: string }) =>
    JOB_CONTAINER.test(call.path) ||
    (made.jobOf(call.path) !== undefined && (when === 'before' || method === 'POST' || showsEnd(call.body)));
  return new Promise<Worker>((resolve) => {
    for (const worker of workers) {
      worker.proxy[when]({ method, path, when: isIt }, async () => {
        for (const { proxy } of workers) proxy.clear();
        const verdict = await act(worker);
        resolve(worker);
        return verdict === 'drop' ? verdict : undefined;
      });
    }
  });
};

export const die = async (worker: Worker): Promise<void> => worker.end();
