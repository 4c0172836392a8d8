import type { Link } from '../network.js';
import { callRecord } from '../network.js';
import type { Process, Steps, Wait } from '../process.js';
import { either, wait } from '../process.js';
import { type LeaseState, renew } from '../record/claims.js';
import type { Holder } from '../record/record-model.js';
import type { Machine, SimJob, World } from '../world.js';

export type Ask = 'cancel' | 'timeout' | 'release' | 'over';
export type Leave = 'let_go' | 'moved';

/** A claim in a worker's hands. The first request wins; `over` overrules all. */
export interface Hold {
  claim: Holder;
  job: SimJob;
  attempt: number;
  request: Ask | undefined;
  leave: Leave | undefined;
  container_id: number | undefined;
  /** The fence has paused its container. */
  fenced: boolean;
  ended: boolean;
  output: { sent: number; piece: number };
  changed: Set<() => void>;
}

export interface Worker {
  world: World;
  machine: Machine;
  process: Process;
  link: Link;
  holds: Map<string, Hold>;
  /** When the last renewal of everything that is held was sent. */
  renewed_at: number;
  fenced: boolean;
  looked_at: number;
  other_engines: number;
  steady_since: number;
  asked_at: number;
  /** The record's time, as its last answer told it. */
  told_at: number;
  accepting: boolean;
  adopting: boolean;
  adopt_again: boolean;
  gate_shut: boolean;
  suspects: Set<number>;
  calls: number;
}

export const FENCE_AFTER_MS = 15_000;
/** An answer of the record that is older does not tell how things are now. */
const FRESH_MS = 5_000;

const tellChanged = (hold: Hold): void => {
  const told = [...hold.changed];
  hold.changed.clear();
  for (const one of told) one();
};

export const ask = (hold: Hold, wish: Ask): void => {
  if (hold.request === wish || (hold.request !== undefined && wish !== 'over')) return;
  hold.request = wish;
  tellChanged(hold);
};

export const leaveIt = (hold: Hold, why: Leave): void => {
  if (hold.leave !== undefined && why !== 'moved') return;
  hold.leave = why;
  tellChanged(hold);
};

export const untilChanged =
  (hold: Hold): Wait<void> =>
  (resume) => {
    hold.changed.add(resume as () => void);
  };

export const isStopped = (hold: Hold): boolean => hold.request !== undefined || hold.leave !== undefined;

export const isLost = (hold: Hold): boolean => hold.leave !== undefined || hold.request === 'over';

export const applyState = (hold: Hold, state: LeaseState | undefined): void => {
  if (state === 'cancel') ask(hold, 'cancel');
  if (state === 'over') ask(hold, 'over');
  if (state === 'moved') leaveIt(hold, 'moved');
};

/** Calls the record on the worker's own connection. */
export const call = <T>(worker: Worker, run: (now: number) => T): Wait<T> => callRecord(worker.world, worker.link, run);

/**
 * Asks the record whether the epoch is ours still, right before something that must not be done otherwise. An answer that took long says
 * how things were, so it is asked for again.
 */
export function* confirm(worker: Worker, hold: Hold): Steps<boolean> {
  const { agenda, record } = worker.world;
  for (;;) {
    const sent_at = agenda.now;
    const asked = call(worker, (now) => renew(record, now, [hold.claim]));
    const states = yield* wait(either(asked, untilChanged(hold)));
    if (states) applyState(hold, states[0]);
    if (isLost(hold)) return false;
    if (!states) continue;
    if (agenda.now - sent_at <= FRESH_MS) return true;
    worker.world.tally('check repeated: its answer was old');
  }
}
