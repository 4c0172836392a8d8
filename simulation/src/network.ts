import type { Process, Wait } from './process.js';
import type { Cut, Machine, World } from './world.js';

/** A call that has not been answered. */
interface Pending {
  run: (now: number) => unknown;
  resume: (value: never) => void;
}

/**
 * A worker's connection to the record. What is sent on it arrives in order, sooner or later. When it breaks, everything that has not
 * been answered is sent again, in order, whether or not it had been done.
 */
export interface Link {
  process: Process;
  machine: Machine;
  cut: Cut | undefined;
  /** When the last request arrives and the last answer, so that none overtakes. */
  arrives: number;
  answers: number;
  pending: Set<Pending>;
  /** Those of them that are on their way, in order. */
  on_the_way: Pending[];
  /** Grows with each break: what was on its way then is gone. */
  connection: number;
  /** Its process died, and what was still on its way from here on is gone. */
  severed: boolean;
}

export const createLink = (process: Process, machine: Machine): Link => ({
  process,
  machine,
  cut: undefined,
  arrives: 0,
  answers: 0,
  pending: new Set(),
  on_the_way: [],
  connection: 0,
  severed: false,
});

const toDelay = ({ random, noisy }: World): number => {
  const dice = noisy ? random.next() : 0;
  if (dice < 0.97) return random.between(1, 12);
  return dice < 0.997 ? random.between(100, 1_500) : random.between(1_500, 8_000);
};

const cutUntil = (link: Link, now: number, replies: boolean): number => {
  let until = 0;
  for (const cut of [link.cut, link.machine.cut]) {
    if (cut && cut.until > now && (replies || !cut.replies_only)) until = Math.max(until, cut.until);
  }
  return until;
};

/** Whether a request would have to wait. */
export const isCutOff = ({ agenda, frozen_until }: World, link: Link): boolean =>
  frozen_until > agenda.now || cutUntil(link, agenda.now, true) > 0;

const reconnect = (world: World, link: Link, at: number): void => {
  world.tally('connection broken');
  link.connection += 1;
  link.arrives = at;
  link.answers = at;
  link.on_the_way = [];
  for (const call of link.pending) transmit(world, link, call);
};

const answer = (world: World, link: Link, { call, value }: { call: Pending; value: unknown }): void => {
  const { agenda, random } = world;
  const { now } = agenda;
  const until = cutUntil(link, now, true);
  const breaks = until > 0 ? random.chance(0.5) : world.noisy && random.chance(0.004);
  if (breaks) {
    reconnect(world, link, Math.max(until, now + random.between(50, 2_000)));
    return;
  }
  const { connection } = link;
  link.answers = Math.max(link.answers, until, now + toDelay(world));
  agenda.at(link.answers, () => {
    if (connection !== link.connection) return;
    link.pending.delete(call);
    call.resume(value as never);
  });
};

/** What was sent before it has arrived before it. */
const arrive = (world: World, link: Link, last: Pending): void => {
  const { connection } = link;
  for (let call = link.on_the_way.shift(); call !== undefined; call = link.on_the_way.shift()) {
    // What a dead process had sent may still arrive, up to some point.
    link.severed ||= !link.process.alive && world.random.chance(0.5);
    if (link.severed) return;
    answer(world, link, { call, value: call.run(world.agenda.now) });
    if (call === last || connection !== link.connection) return;
  }
};

const transmit = (world: World, link: Link, call: Pending): void => {
  const { agenda } = world;
  const { connection } = link;
  const deliver = (): void => {
    if (connection !== link.connection || !link.on_the_way.includes(call)) return;
    const blocked_until = Math.max(cutUntil(link, agenda.now, false), world.frozen_until);
    if (blocked_until > agenda.now) agenda.at(blocked_until, deliver);
    else arrive(world, link, call);
  };
  link.on_the_way.push(call);
  link.arrives = Math.max(link.arrives, agenda.now + toDelay(world));
  agenda.at(link.arrives, deliver);
};

/** Runs `run` on the record, at the time at which it gets there; after a broken connection perhaps twice. */
export const callRecord =
  <T>(world: World, link: Link, run: (now: number) => T): Wait<T> =>
  (resume) => {
    const call: Pending = { run, resume };
    link.pending.add(call);
    transmit(world, link, call);
  };

export const sleep =
  (world: World, ms: number): Wait<void> =>
  (resume) =>
    world.agenda.after(ms, () => resume());
