import {
  findTurns,
  type Head,
  isBlocked,
  type MachineView,
  NO_RESOURCES,
  type PlannedMachine,
  planReservations,
  plus,
} from '@berth/domain';
import { type Node, type Store, toMachineView } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

const PERIOD_MS = 1_000;
/** A plan that a claim or an end has overtaken is made anew at once, so often. */
const TRIES = 3;

type PlannerStore = Pick<Store, 'workers' | 'reservations' | 'shares'>;

export interface Planner {
  /** One plan, at once. */
  pass(): Promise<void>;
  close(): Promise<void>;
}

/** A machine that has not been heard of runs nothing new. */
const isThere = ({ state }: Node): boolean => state !== 'lost';

/** A whole look and what follows from it. False where something has changed in between. */
const planOnce = async ({ workers, reservations, shares }: PlannerStore, classes: string[]): Promise<boolean> => {
  const nodes = (await workers.readNodes()).filter(isThere);
  await shares.setCluster(nodes.map(({ capacity }) => capacity).reduce(plus, NO_RESOURCES));
  if (nodes.length === 0) return true;
  const [{ at, heads }, kept] = await Promise.all([
    reservations.readHeads(classes),
    reservations.read(nodes.map(({ engine }) => engine)),
  ]);
  const machines = nodes.map((node, i) => toMachineView(node, kept[i]));
  const turns = findTurns(heads, machines);
  const isIdle = kept.every((one) => one === undefined) && !turns.some((job) => isBlocked(job, machines, at));
  return isIdle || carryOut(reservations, nodes, { at, turns, machines });
};

interface Look {
  at: number;
  turns: Head[];
  machines: MachineView[];
}

const carryOut = async (
  reservations: PlannerStore['reservations'],
  nodes: Node[],
  { at, turns, machines }: Look,
): Promise<boolean> => {
  const endings = await reservations.readEndings(nodes.map(({ engine }) => engine));
  const planned = planReservations(
    turns,
    machines.map((machine, i): PlannedMachine => ({ ...machine, endings: endings[i] ?? [] })),
    at,
  );
  for (const { engine, reservation: old } of machines) {
    const stays = planned.some((one) => one.engine === engine && one.job_id === old?.job_id);
    if (old && !stays) await reservations.giveUp(engine, old.job_id);
  }
  const done = planned.map(({ engine, ...reservation }) => {
    const running = nodes.find((node) => node.engine === engine)?.running_jobs ?? [];
    return reservations.reserve(engine, reservation, running);
  });
  return (await Promise.all(done)).every((ok) => ok);
};

/**
 * Once a second: sees to it that a job whose turn it is gets a machine, however many smaller ones fit before it (see `reservation.ts`), and
 * says what all machines have together, by which use is measured. Every replica does it: they see the same and plan the same, and the
 * last one's plan stands. Without any replica the reservations run out after some seconds.
 */
export const startPlanner = ({
  store,
  classes,
  log,
}: {
  store: PlannerStore;
  classes: string[];
  log: Logger;
}): Planner => {
  const pass = async (): Promise<void> => {
    for (let tries = 0; tries < TRIES; tries += 1) if (await planOnce(store, classes)) return;
  };
  return { pass, ...repeat(pass, { period_ms: PERIOD_MS, failure: 'could not plan whose turn it is', log }) };
};
