import type { EventType, JobEvent, JobState } from '@berth/domain';
import type { JobRecord } from '@berth/store';
import type { EngineEvent, JobStory } from '../src/evidence.js';

/** A record of a job that completed in its first epoch, with what is given in its place. */
export const toRecord = (more: Partial<JobRecord> & { spec?: object } = {}): JobRecord =>
  ({
    job_id: 'j',
    state: 'completed',
    epoch: 1,
    attempt: 1,
    finished_at: 9,
    cause: null,
    spec: { labels: {}, max_attempts: 3 },
    attempts: [{ attempt: 1, epoch: 1, cause: null }],
    ...more,
  }) as unknown as JobRecord;

type Step = [type: EventType, state: JobState, data?: Record<string, unknown>];

/** The history of such a job, after `submitted`. */
export const toHistory = (...steps: Step[]): JobEvent[] =>
  [['submitted', 'pending'] as Step, ...steps].map(([type, state, data = {}], i) => ({
    seq: i + 1,
    type,
    at: i,
    state,
    data,
  }));

export const healthy: JobStory = {
  record: toRecord(),
  history: toHistory(
    ['claimed', 'running', { attempt: 1, epoch: 1 }],
    ['started', 'running', { attempt: 1, epoch: 1 }],
    ['completed', 'completed', { attempt: 1, epoch: 1 }],
  ),
};

/** `epoch`s of job `j` start and die as told: [action, at, epoch], each epoch in a container of its own. */
export const toEvents = (...steps: [EngineEvent['action'], number, number][]): EngineEvent[] =>
  steps.map(([action, at_ms, epoch]) => ({
    ...{ engine: 'e', installation: 'i', job_id: 'j' },
    ...{ action, at_ms, epoch, container: `container-${epoch}` },
  }));
