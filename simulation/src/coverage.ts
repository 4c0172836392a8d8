import { CAUSES, EVENT_TYPES } from '@berth/domain';
import { FAULTS } from './faults.js';

/** How often each thing happened. */
export type Coverage = Map<string, number>;

export const addCoverage = (to: Coverage, from: Iterable<[string, number]>): void => {
  for (const [what, count] of from) to.set(what, (to.get(what) ?? 0) + count);
};

/** What moves jobs that no worker has is not simulated: there is no hold, no change of priority, and nothing that depends on another job. */
const NOT_SIMULATED: ReadonlySet<string> = new Set(['held', 'unheld', 'reprioritized', 'ready', 'dependency_failed']);

/** An attempt ends so, or a job without one. */
const ENDS = CAUSES.filter((cause) => !NOT_SIMULATED.has(cause)).map((cause) =>
  cause === 'queue_timeout' ? `end: ${cause}` : `attempt: ${cause}`,
);

const MECHANISMS = [
  ...['adopted: created', 'adopted: exited', 'adopted: not started', 'adopted: removed', 'adopted: running', 'let go'],
  ...['fenced', 'unpaused', 'reaper paused', 'reaper killed', 'expired', 'container of an older epoch removed'],
  ...[
    'reconcile: superfluous',
    'reconcile: overdue',
    'name taken',
    'check repeated: its answer was old',
    'no room',
    'ticket exchanged',
  ],
  ...['settlement refused', 'output refused', 'connection broken', 'answer of the engine lost', 'swept'],
  ...['cancel cancelled', 'cancel requested', 'fault: a job took its engine down'],
];

/** What a run of many seeds must have seen: a check of what never happens checks nothing. */
const EXPECTED: string[] = [
  ...Object.keys(FAULTS).map((name) => `fault: ${name}`),
  ...EVENT_TYPES.filter((type) => !NOT_SIMULATED.has(type)).map((type) => `event: ${type}`),
  'end: completed',
  ...ENDS,
  ...MECHANISMS,
];

export const findUnseen = (coverage: Coverage): string[] => EXPECTED.filter((what) => !coverage.get(what));
