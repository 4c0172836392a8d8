import { describe, expect, it } from 'vitest';
import type { MachineView } from './judge.js';
import { pick, type ShapeQueue, toQueueScore } from './pick.js';
import { type Gpu, type Shape, toShapeText } from './placement.js';
import { type Ending, findTurns, type Head, isBlocked, type PlannedMachine, planReservations } from './reservation.js';
import { minus, NO_RESOURCES, plus, type Resources } from './resources.js';

const AT = 1_000_000;
const NO_QUOTAS = { quotas: {}, tallies: {} };

const toAsk = (cpus: number, gpus = 0): Resources => ({ centicpus: cpus * 100, memory_mb: 10, gpus });

const toMachine = (more: Partial<PlannedMachine> = {}): PlannedMachine => ({
  node: 'n',
  engine: 'e',
  labels: {},
  region: 'default',
  datacenter: 'default',
  capacity: { centicpus: 400, memory_mb: 1_000, gpus: 0 },
  gpus: [],
  reserved: (more.endings ?? []).reduce((all, { ask }) => plus(all, { ...ask, gpus: 0 }), NO_RESOURCES),
  gpu_holds: (more.endings ?? []).flatMap(({ gpu_holds }) => gpu_holds),
  drained: false,
  endings: [],
  ...more,
});

const toHead = (job_id: string, shape: Partial<Shape> = {}, more: Partial<Head> = {}): Head => ({
  job_id,
  class: 'c',
  bucket: 'local',
  shape: { ask: toAsk(1), timeout_seconds: 60, ...shape },
  priority: 50,
  created_at: AT,
  rank: 0,
  ...more,
});

const toEnding = (job_id: string, cpus: number, ends_in_s: number, more: Partial<Ending> = {}): Ending => ({
  job_id,
  ask: toAsk(cpus),
  gpu_holds: [],
  ends_at: AT + ends_in_s * 1000,
  ...more,
});

const big = toHead('big', { ask: toAsk(4) });

describe('whose turn it is', () => {
  it('is the first of each class that some machine suits, the most urgent class first', () => {
    const heads = [
      [toHead('too-big', { ask: toAsk(5) }), toHead('second', {}, { priority: 10 }), toHead('third')],
      [toHead('elsewhere', { node_selector: { disk: 'ssd' } }), toHead('urgent', {}, { priority: 90 })],
      [toHead('older', {}, { priority: 10, created_at: AT - 1 })],
    ];
    expect(findTurns(heads, [toMachine()]).map(({ job_id }) => job_id)).toEqual(['urgent', 'older', 'second']);
  });

  it('is the job’s of the user with the least use, whatever priority others give theirs', () => {
    const heads = [
      [toHead('flood', {}, { bucket: 'alice', rank: 3, priority: 100, created_at: AT - 9 })],
      [toHead('late', {}, { bucket: 'bob', rank: 2, priority: 10 })],
      [toHead('new', {}, { bucket: 'carol', rank: Number.NEGATIVE_INFINITY, priority: 0 })],
    ];
    expect(findTurns(heads, [toMachine()]).map(({ job_id }) => job_id)).toEqual(['new', 'late', 'flood']);
  });

  it('is nobody’s where every machine is drained or serves other classes', () => {
    expect(findTurns([[big]], [toMachine({ drained: true }), toMachine({ classes: ['other'] })])).toEqual([]);
  });
});

describe('a reservation', () => {
  const plan = (machines: PlannedMachine[], turns = [big]) => planReservations(turns, machines, AT);

  it('is on the machine that has room first, from when its jobs have ended at the latest', () => {
    const slow = toMachine({ engine: 'slow', endings: [toEnding('a', 1, 900)] });
    const soon = toMachine({ engine: 'soon', endings: [toEnding('b', 1, 30), toEnding('c', 1, 600)] });
    expect(plan([slow, soon])).toEqual([
      { engine: 'soon', job_id: 'big', at: AT + 600_000, left: { centicpus: 0, memory_mb: 990, gpus: 0 } },
    ]);
  });

  it('leaves over what those hold who run on, and what the job does not need', () => {
    const half = toHead('half', { ask: toAsk(2) });
    const machine = toMachine({
      endings: [toEnding('a', 1, 30), toEnding('b', 1, 60), toEnding('c', 1, 600), toEnding('d', 1, 700)],
    });
    expect(plan([machine], [half])).toEqual([
      expect.objectContaining({ at: AT + 60_000, left: { centicpus: 0, memory_mb: 970, gpus: 0 } }),
    ]);
    const small = toMachine({ endings: [toEnding('a', 3, 30), toEnding('b', 1, 60)] });
    expect(plan([small], [half])[0]?.left.centicpus).toBe(100);
  });

  it('is for nobody whom some machine has room for', () => {
    expect(plan([toMachine({ endings: [toEnding('a', 4, 30)] }), toMachine({ engine: 'idle' })])).toEqual([]);
  });

  it('is on no machine that is drained, too small, or elsewhere', () => {
    const endings = [toEnding('a', 1, 30)];
    const small = { capacity: { centicpus: 300, memory_mb: 1_000, gpus: 0 } };
    expect(plan([toMachine({ endings, drained: true }), toMachine({ endings, ...small })])).toEqual([]);
  });

  it('is one a machine, the most urgent job’s first, and the next job’s is elsewhere', () => {
    const first = toMachine({ engine: 'first', endings: [toEnding('a', 1, 30)] });
    const second = toMachine({ engine: 'second', endings: [toEnding('b', 1, 90)] });
    const other = toHead('other', { ask: toAsk(4) }, { priority: 10, class: 'd' });
    const planned = plan([first, second], findTurns([[other], [big]], [first, second]));
    expect(planned.map(({ engine, job_id }) => [engine, job_id])).toEqual([
      ['first', 'big'],
      ['second', 'other'],
    ]);
    expect(plan([first], findTurns([[other], [big]], [first])).map(({ job_id }) => job_id)).toEqual(['big']);
  });

  it('stays where it is among equals, moves to where it is sooner, and is never promised for later', () => {
    const kept = { job_id: 'big', at: AT + 20_000, left: NO_RESOURCES };
    const here = toMachine({ engine: 'here', reservation: kept, endings: [toEnding('a', 1, 30)] });
    const equal = toMachine({ engine: 'equal', endings: [toEnding('b', 1, 30)] });
    const sooner = toMachine({ engine: 'sooner', endings: [toEnding('c', 1, 10)] });
    expect(plan([equal, here])[0]).toMatchObject({ engine: 'here', at: AT + 20_000 });
    expect(plan([here, sooner])[0]).toMatchObject({ engine: 'sooner', at: AT + 10_000 });
  });

  it('stays once there is room, until the job runs', () => {
    const here = toMachine({ reservation: { job_id: 'big', at: AT - 5, left: NO_RESOURCES } });
    expect(plan([here])).toEqual([expect.objectContaining({ engine: 'e', at: AT - 5 })]);
    expect(plan([here], [toHead('another')])).toEqual([]);
  });

  it('waits for the GPUs of the kind that the job asks for', () => {
    const toGpu = (index: number, name: string): Gpu => ({ index, uuid: `g${index}`, name, memory_mb: 80_000 });
    const gpus = [toGpu(0, 'A100'), toGpu(1, 'A100'), toGpu(2, 'T4')];
    const hold = (job_id: string, uuid: string) => ({ job_id, uuid, memory_mb: null });
    const endings = [
      toEnding('a', 1, 50, { ask: toAsk(1, 1), gpu_holds: [hold('a', 'g0')] }),
      toEnding('b', 1, 80, { ask: toAsk(1, 1), gpu_holds: [hold('b', 'g1')] }),
    ];
    const machine = toMachine({ endings, gpus, capacity: { centicpus: 400, memory_mb: 1_000, gpus: 3 } });
    const job = toHead('gpu', { ask: toAsk(1, 2), gpus: { count: 2, type: 'a100' } });
    expect(plan([machine], [job])).toEqual([
      expect.objectContaining({ at: AT + 80_000, left: expect.objectContaining({ gpus: 0 }) }),
    ]);
  });
});

interface Running extends Ending {
  /** When it does end. */
  ends: number;
}

interface Arrival {
  id: string;
  cpus: number;
  timeout: number;
  lasts: number;
  at: number;
}

const SECOND = 1_000;

const toQueues = (waiting: Arrival[]): ShapeQueue[] => {
  const queues = new Map<string, ShapeQueue>();
  for (const { id, cpus, timeout, at } of waiting) {
    const shape = { ask: toAsk(cpus), timeout_seconds: timeout };
    const queue: ShapeQueue = queues.get(toShapeText(shape)) ?? { text: toShapeText(shape), shape, jobs: [] };
    queue.jobs.push({ job_id: id, score: toQueueScore(50, at) });
    queues.set(queue.text, queue);
  }
  return [...queues.values()];
};

/** One machine of four CPUs and one user, second by second: what ends, what comes, a plan, and picks until nothing fits. */
const simulate = (arrivals: Arrival[], seconds: number, plans = true): Map<string, number> => {
  const started = new Map<string, number>();
  let running: Running[] = [];
  let waiting: Arrival[] = [];
  let reservation: MachineView['reservation'];
  for (let at = AT; at <= AT + seconds * SECOND; at += SECOND) {
    running = running.filter(({ ends }) => ends > at);
    waiting.push(...arrivals.filter((one) => one.at === at));
    const view = () => toMachine({ reservation, endings: running });
    const heads = toQueues(waiting)
      .sort((a, b) => (a.jobs[0]?.score ?? 0) - (b.jobs[0]?.score ?? 0))
      .map(({ shape, jobs }) => toHead(jobs[0]?.job_id ?? '', shape));
    reservation = plans ? planReservations(findTurns([heads], [view()]), [view()], at)[0] : undefined;
    for (;;) {
      const buckets = { c: [{ user: 'local', rank: 0, queues: toQueues(waiting) }] };
      const found = pick({ at, buckets, machines: [], ...NO_QUOTAS }, 'c', view());
      const job = waiting.find(({ id }) => id === found?.job_id);
      if (!found || !job) break;
      if (found.takes_left && reservation)
        reservation = { ...reservation, left: minus(reservation.left, found.shape.ask) };
      started.set(job.id, at);
      waiting = waiting.filter((one) => one !== job);
      const ends_at = at + job.timeout * SECOND;
      running.push({ job_id: job.id, ask: found.shape.ask, gpu_holds: [], ends_at, ends: at + job.lasts * SECOND });
    }
  }
  return started;
};

describe('a big job before a flow of small ones', () => {
  const flow = (timeout: number, every: number): Arrival[] =>
    Array.from({ length: Math.floor(600 / every) }, (_, i) => ({
      id: `small-${timeout}-${i}`,
      cpus: 1,
      timeout,
      lasts: timeout,
      at: AT + i * every * SECOND,
    }));
  const bigOne: Arrival = { id: 'big', cpus: 4, timeout: 60, lasts: 30, at: AT + 100 * SECOND };
  const arrivals = [...flow(60, 16), bigOne];

  it('would wait for as long as they come, were no machine kept for it', () => {
    expect(simulate(arrivals, 590, false).get('big')).toBeUndefined();
  });

  it('runs as soon as those have ended that ran when its turn came', () => {
    expect(simulate(arrivals, 590).get('big')).toBeLessThanOrEqual(AT + 160 * SECOND);
  });

  it('lets those run in the gap that end before', () => {
    const quick = flow(5, 7).filter(({ at }) => at > bigOne.at);
    const started = simulate([...arrivals, ...quick], 590);
    const start = started.get('big') ?? Number.POSITIVE_INFINITY;
    expect(start).toBeLessThanOrEqual(AT + 160 * SECOND);
    const between = [...started].filter(([id, at]) => id.startsWith('small-5-') && at > bigOne.at && at < start);
    expect(between.length).toBeGreaterThan(3);
    const long = [...started].filter(([id, at]) => id.startsWith('small-60-') && at > bigOne.at && at < start);
    expect(long).toEqual([]);
  });

  it('is blocked only while no machine has room', () => {
    expect(isBlocked(big, [toMachine({ endings: [toEnding('a', 1, 30)] })], AT)).toBe(true);
    expect(isBlocked(big, [toMachine()], AT)).toBe(false);
  });
});
