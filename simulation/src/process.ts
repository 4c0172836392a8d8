/** Something that is waited for: it is given what to call with the value. Calls after the first must not come. */
export type Wait<T> = (resume: (value: T) => void) => void;

/** A program of a process. Between two waits it cannot be interrupted; at each of them its process may die or stand still. */
export type Steps<T> = Generator<Wait<unknown>, T, unknown>;

export function* wait<T>(what: Wait<T>): Steps<T> {
  return (yield what as Wait<unknown>) as T;
}

/** An operating system's process: it may be killed, and it may be stopped (SIGSTOP) and go on as if no time had passed. */
export interface Process {
  readonly name: string;
  alive: boolean;
  stopped: boolean;
  /** What happened to it while it was stopped. */
  missed: (() => void)[];
  /** Strikes before the given number of further steps of its attempts: a fault between any two of them. */
  hazard: { steps: number; strike: () => void } | undefined;
  /** Its attempts that stand between their last look at the record and the start of a container. */
  windows: Set<Window>;
}

interface Window {
  /** The process was stopped right then: when it goes on, what it saw is old. */
  was_stopped: boolean;
}

export const createProcess = (name: string): Process => ({
  name,
  alive: true,
  stopped: false,
  missed: [],
  hazard: undefined,
  windows: new Set(),
});

/** Runs `what` in the process: now, or when it goes on, or never. */
const enter = (process: Process, what: () => void): void => {
  if (!process.alive) return;
  if (process.stopped) process.missed.push(what);
  else what();
};

export const stop = (process: Process): void => {
  process.stopped = true;
  for (const window of process.windows) window.was_stopped = true;
};

export const goOn = (process: Process): void => {
  process.stopped = false;
  const missed = process.missed;
  process.missed = [];
  for (const what of missed) enter(process, what);
};

export const kill = (process: Process): void => {
  process.alive = false;
  process.missed = [];
};

const strikes = (process: Process): boolean => {
  const { hazard } = process;
  if (!hazard) return false;
  hazard.steps -= 1;
  if (hazard.steps > 0) return false;
  process.hazard = undefined;
  hazard.strike();
  return true;
};

/** Runs a program to its end or to the end of its process. */
export const spawn = (process: Process, steps: Steps<unknown>, isAttempt = false): void => {
  const advance = (value: unknown): void => {
    if (!process.alive) return;
    if (process.stopped) {
      process.missed.push(() => advance(value));
      return;
    }
    if (isAttempt && process.hazard && strikes(process)) {
      advance(value);
      return;
    }
    const next = steps.next(value);
    if (!next.done) next.value(advance);
  };
  advance(undefined);
};

/** Settles with the first of the two; the other one is not heard any more. */
export const either =
  <A, B>(first: Wait<A>, second: Wait<B>): Wait<A | B> =>
  (resume) => {
    let settled = false;
    const once = (value: A | B): void => {
      if (settled) return;
      settled = true;
      resume(value);
    };
    first(once);
    second(once);
  };
