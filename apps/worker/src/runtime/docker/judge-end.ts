import { setTimeout as delay } from 'node:timers/promises';
import { type ExitReport, toSignal } from '@berth/domain';
import type Docker from 'dockerode';
import type { MemoryWatch } from './memory-witness.js';
import { findMissingProgram } from './missing-program.js';
import { readPastEvents } from './past-events.js';
import type { Sightings } from './sightings.js';

/** How long a death that nothing explains waits for a word that comes late, and how often it looks for one. */
const LATE_MS = 300;
const LATE_STEP_MS = 50;
/** A process that was killed for want of memory explains a death so soon after it. */
const MEMORY_DEATH_MS = 10_000;
/** An event may be told so long after the end that it belongs to. */
const EVENT_MARGIN_MS = 250;
const KILLED = 137;
/** What people and engines send to end a program. The others are sent by the kernel for what the program did. */
const SENT: ReadonlySet<string> = new Set(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGTERM']);
/** KILL and TERM, by which an engine ends its containers. A program may live through TERM and end with a code of its own. */
const STOPS: ReadonlySet<number> = new Set([9, 15]);

type Inspected = Docker.ContainerInspectInfo;
/** What a look at a container shows: `gone` where the engine has none, `unknown` where it does not say. */
export type Seen = Inspected | 'gone' | 'unknown';

export interface EndedContainer {
  docker: Docker;
  container: Docker.Container;
  sightings: Sightings;
  memory: MemoryWatch;
  look: () => Promise<Seen>;
  /** Whether we have sent it a signal: then the engine is not to blame, nor anyone else. */
  wasKilled: () => boolean;
  /** Whether the stream of events was away between the last time we saw the container alive and now. */
  missedEvents: () => boolean;
  /** Whether the stream was listened to ever since the container started. */
  watched_from_start: boolean;
  isEngineUp: () => Promise<boolean>;
}

/** A container being removed shows its end already. One that was only created has none. */
export const hasEnded = ({ State }: Inspected): boolean =>
  !State.Running && State.Status !== 'created' && parseTime(State.FinishedAt) !== null;

/**
 * What a container that has ended died of. The exit code stands as it is; what is found out here is who or what stood behind it, and
 * each of these is looked into only where the exit code leaves it open. An end with 0 costs one look at the kernel's log.
 */
export const judgeEnd = async (ended: EndedContainer, seen: Inspected): Promise<ExitReport> => {
  const { ExitCode } = seen.State;
  if (ExitCode === 126 || ExitCode === 127) {
    const message = await findMissingProgram(ended.container, seen.Config);
    if (message !== undefined) return { kind: 'start_failed', message, exit_code: ExitCode };
  }
  await ended.memory.look();
  if (ExitCode === 0) return toReport(seen.State, ended.sightings);
  const recalled = ended.watched_from_start && !ended.missedEvents() ? NOTHING : await recallEvents(ended, seen);
  if (recalled.by_engine && !ended.wasKilled() && !isMemoryDeath(ended, seen)) return { kind: 'engine_restarted' };
  const was_asked = STOPS.has(ended.sightings.outside_signal ?? 0);
  const may_be_asked = was_asked || SENT.has(toSignal(ExitCode) ?? '');
  if (ended.wasKilled() || !may_be_asked) return toReport(seen.State, ended.sightings);
  return judgeDeath(ended, seen, recalled.saw_death);
};

interface Recalled {
  /** The engine that is up now was up, and saw it, when the container died. */
  saw_death: boolean;
  /** It found the container when it came up, and ended it. */
  by_engine: boolean;
}
const NOTHING: Recalled = { saw_death: false, by_engine: false };

/** The signals of an engine that may have been coming up are not taken for another's. */
const recallEvents = async (
  { docker, container, sightings }: EndedContainer,
  { State }: Inspected,
): Promise<Recalled> => {
  const until_ms = (parseTime(State.FinishedAt) ?? Date.now()) + EVENT_MARGIN_MS;
  const { events, saw_before } = await readPastEvents(docker, container.id, until_ms);
  sightings.recall(events.filter(({ action }) => action !== 'kill' || saw_before));
  const sent = events.some(({ action, signal }) => action === 'kill' && STOPS.has(signal ?? 0));
  return { saw_death: saw_before && events.some(({ action }) => action === 'die'), by_engine: sent && !saw_before };
};

/**
 * An engine that goes down takes its containers with it, and they look as if someone had killed them: 137, or 143 where it had the
 * time to be polite, and then it even tells of its own signal. So where we sent none and memory was not short, such a death is the
 * engine's doing if its event stream broke since we last saw the container alive, unless the engine that is up now saw it happen;
 * or if it takes no new connection now: a stopping engine closes its door first and lets open connections be. Someone else's removal
 * by force kills first and removes after; it is told by what it leaves.
 */
const judgeDeath = async (ended: EndedContainer, seen: Inspected, saw_death: boolean): Promise<ExitReport> => {
  const { ExitCode, Status } = seen.State;
  const like_an_engine = STOPS.has(ExitCode - 128) || STOPS.has(ended.sightings.outside_signal ?? 0);
  if (like_an_engine && Status === 'removing' && !isMemoryDeath(ended, seen)) return { kind: 'removed' };
  await untilExplained(ended, seen);
  if (isMemoryDeath(ended, seen)) return toReport(seen.State, ended.sightings);
  if (like_an_engine && (await isEngineToBlame(ended, saw_death))) return { kind: 'engine_restarted' };
  const again = await ended.look();
  if (like_an_engine && isBeingRemoved(again)) return { kind: 'removed' };
  // Someone else may have started it again by now: what counts is how the program that we started ended.
  const last = typeof again === 'string' || !hasEnded(again) ? seen : again;
  return toReport(last.State, ended.sightings);
};

const isBeingRemoved = (seen: Seen): boolean =>
  seen === 'gone' || (seen !== 'unknown' && seen.State.Status === 'removing');

const untilExplained = async (ended: EndedContainer, seen: Inspected): Promise<void> => {
  const { ExitCode } = seen.State;
  const wasSent = (signal: number | null) => signal !== null && (STOPS.has(signal) || ExitCode === 128 + signal);
  const isExplained = () => wasSent(ended.sightings.outside_signal) || isMemoryDeath(ended, seen);
  for (let waited = 0; waited < LATE_MS && !isExplained(); waited += LATE_STEP_MS) {
    await delay(LATE_STEP_MS);
    await ended.memory.look();
  }
};

const isMemoryDeath = ({ sightings }: EndedContainer, { State }: Inspected): boolean => {
  if (State.ExitCode !== KILLED) return false;
  const { last_oom_ms } = sightings;
  if (last_oom_ms === null) return State.OOMKilled;
  return (parseTime(State.FinishedAt) ?? Date.now()) - last_oom_ms < MEMORY_DEATH_MS;
};

const isEngineToBlame = async ({ missedEvents, isEngineUp }: EndedContainer, saw_death: boolean): Promise<boolean> => {
  const broke = () => missedEvents() && !saw_death;
  return broke() || !(await isEngineUp()) || broke();
};

/** The engine notes the start of a very short program a moment after its end. */
const toFinish = ({ StartedAt, FinishedAt }: Inspected['State']): number =>
  Math.max(parseTime(FinishedAt) ?? Date.now(), parseTime(StartedAt) ?? 0);

const toReport = (state: Inspected['State'], sightings: Sightings): ExitReport => ({
  kind: 'exited',
  exit_code: state.ExitCode,
  memory: sightings.toMemory(state.OOMKilled),
  outside_signal: sightings.outside_signal,
  started_at: parseTime(state.StartedAt),
  finished_at: toFinish(state),
});

/** The engine writes the year 1 for "never". */
const parseTime = (text: string): number | null => {
  const time = Date.parse(text);
  return Number.isNaN(time) || time <= 0 ? null : time;
};
