import type { ShareLevel } from './fair-share.js';
import { type Candidate, judgePlacement, type MachineView, type Reservation } from './judge.js';
import { toQueueScore } from './pick.js';
import { type GpuHold, type NodeView, pickGpus } from './placement.js';
import { minus, NO_RESOURCES, type Resources } from './resources.js';

/**
 * Backfill. Where a job's turn has come and no machine has room for it, later jobs that fit would pass it for ever. So one machine is kept
 * free for it: the one that will have room first, counted from when the jobs there must have ended at the latest. Others may still run there
 * that are gone by then, or that fit beside it. The plan is made anew all the time from what is so then; a job's promised time never gets later.
 */

/** A job that runs, and when (Unix ms) it has ended at the latest. */
export interface Ending {
  job_id: string;
  ask: Resources;
  gpu_holds: GpuHold[];
  ends_at: number;
}

export interface PlannedMachine extends MachineView {
  endings: readonly Ending[];
}

/** A job near the front of its class, with what orders it among those of other classes. */
export interface Head extends Candidate {
  priority: number;
  created_at: number;
  /** Its user's. */
  rank: ShareLevel;
}

export interface PlannedReservation extends Reservation {
  engine: string;
}

const toEmpty = <M extends MachineView>(machine: M): M => ({
  ...machine,
  reserved: NO_RESOURCES,
  gpu_holds: [],
  reservation: undefined,
});

/** Whether the machine is one for this job, once it has room: neither drained, nor another place, nor too small. */
const suits = (job: Candidate, machine: MachineView): boolean => judgePlacement(job, toEmpty(machine), 0).length === 0;

/**
 * Whose turn it is: of each class the first job that some machine suits, and of these first those of the user with the least use, of one user the
 * most urgent, then the oldest. A priority counts among its user's jobs only: with one class full of urgent small jobs nobody keeps another's big
 * job waiting for ever. `heads` has, for each class, the first jobs in the order of the pick that no quota holds back.
 */
export const findTurns = (heads: readonly (readonly Head[])[], machines: readonly MachineView[]): Head[] =>
  heads
    .flatMap((jobs) => jobs.find((job) => machines.some((machine) => suits(job, machine))) ?? [])
    .sort((a, b) =>
      a.rank === b.rank
        ? toQueueScore(a.priority, a.created_at) - toQueueScore(b.priority, b.created_at)
        : a.rank - b.rank,
    );

/** Whether no machine could run the job now. */
export const isBlocked = (job: Candidate, machines: readonly MachineView[], at: number): boolean =>
  machines.every((machine) => judgePlacement(job, machine, at).length > 0);

/** GPUs that would do for the job and that nobody holds too much of. */
const countFreeGpus = ({ shape }: Candidate, machine: NodeView): number => {
  const { gpus: ask } = shape;
  if (ask === undefined) return machine.gpus.length;
  return machine.gpus.filter((gpu) => pickGpus({ ...ask, count: 1 }, [gpu], machine.gpu_holds)).length;
};

/** The machine without those that have ended by then. */
const toLater = (machine: PlannedMachine, at: number): PlannedMachine => {
  const ended = machine.endings.filter((one) => one.ends_at <= at);
  const gone = new Set(ended.flatMap((one) => one.gpu_holds));
  return {
    ...machine,
    reservation: undefined,
    reserved: ended.reduce((rest, one) => minus(rest, one.ask), machine.reserved),
    gpu_holds: machine.gpu_holds.filter((hold) => ![...gone].some((other) => isSameHold(hold, other))),
  };
};

const isSameHold = (a: GpuHold & { job_id?: string }, b: GpuHold & { job_id?: string }): boolean =>
  a.uuid === b.uuid && a.job_id === b.job_id;

/** When the machine has room for the job, and what that leaves over for others. Undefined: not even when all that runs there has ended. */
const findOpening = (job: Candidate, machine: PlannedMachine, at: number): Omit<Reservation, 'job_id'> | undefined => {
  const times = [at, ...machine.endings.map(({ ends_at }) => ends_at).filter((ends_at) => ends_at > at)];
  for (const time of times.sort((a, b) => a - b)) {
    const later = toLater(machine, time);
    if (judgePlacement(job, later, time).length > 0) continue;
    const { centicpus, memory_mb } = minus(minus(machine.capacity, later.reserved), job.shape.ask);
    return { at: time, left: { centicpus, memory_mb, gpus: countFreeGpus(job, later) - job.shape.ask.gpus } };
  }
  return undefined;
};

/** Of machines that open at the same time, the one that is kept for the job already. */
const findFirstOpening = (job: Head, machines: readonly PlannedMachine[], at: number) => {
  const isKept = ({ reservation }: MachineView): boolean => reservation?.job_id === job.job_id;
  const openings = machines.flatMap((machine) => {
    const opening = suits(job, machine) ? findOpening(job, machine, at) : undefined;
    return opening ? [{ machine, opening }] : [];
  });
  openings.sort((a, b) => a.opening.at - b.opening.at || Number(isKept(b.machine)) - Number(isKept(a.machine)));
  return openings[0];
};

/** Nobody's promise gets later: what has passed the job since on the strength of the first one must be gone by then. */
const toPromise = (job: Head, machines: readonly MachineView[], at: number): number => {
  const before = machines.flatMap(({ reservation }) => (reservation?.job_id === job.job_id ? [reservation.at] : []));
  return Math.min(at, ...before);
};

/**
 * The machines to keep free at a time, each for one job, and each job's one: `turns` in their order. A job that has a machine kept for it keeps
 * one until it runs, also once there is room: somebody else would take that first.
 */
export const planReservations = (
  turns: readonly Head[],
  machines: readonly PlannedMachine[],
  at: number,
): PlannedReservation[] => {
  const planned: PlannedReservation[] = [];
  for (const job of turns) {
    const now = machines.map((machine) => ({
      ...machine,
      reservation: planned.find(({ engine }) => engine === machine.engine),
    }));
    const has_one = machines.some(({ reservation }) => reservation?.job_id === job.job_id);
    if (!has_one && !isBlocked(job, now, at)) continue;
    const free = machines.filter(({ engine }) => planned.every((one) => one.engine !== engine));
    const first = findFirstOpening(job, free, at);
    if (!first) continue;
    const { engine } = first.machine;
    planned.push({
      engine,
      job_id: job.job_id,
      at: toPromise(job, machines, first.opening.at),
      left: first.opening.left,
    });
  }
  return planned;
};
