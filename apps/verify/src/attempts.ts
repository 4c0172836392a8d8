import type { JobEvent } from '@berth/domain';
import type { JobStory } from './evidence.js';

/** The platform's faults. They are counted as restarts, never as attempts. */
const PLATFORM: ReadonlySet<unknown> = new Set(['engine_restarted', 'node_lost', 'poison']);

/** I6: an attempt is used up by an end of the job's own, and by nothing else; each claim has the next epoch. */
export const checkAttempts = ({ record, history }: JobStory): string[] => {
  const { attempt, epoch, problems } = countAttempts(history);
  if (record.attempt !== attempt) problems.push(`is in attempt ${record.attempt} after ${attempt - 1} retries`);
  if (record.epoch !== epoch) problems.push(`is in epoch ${record.epoch} after ${epoch} claims`);
  const most = record.spec.max_attempts;
  if (attempt > most) problems.push(`is in attempt ${attempt} of at most ${most}`);
  problems.push(...checkEntries(record, history));
  return problems.map((text) => `${record.job_id} ${text}`);
};

const countAttempts = (history: JobEvent[]) => {
  const problems: string[] = [];
  let attempt = 1;
  let epoch = 0;
  for (const { type, data } of history) {
    if (type === 'claimed') {
      epoch += 1;
      if (data.epoch !== epoch) problems.push(`was claimed in epoch ${data.epoch} where ${epoch} was next`);
      if (data.attempt !== attempt) problems.push(`was claimed in attempt ${data.attempt} where ${attempt} was due`);
    }
    if (type === 'retried') {
      attempt += 1;
      if (PLATFORM.has(data.cause)) problems.push(`used up an attempt by ${data.cause}`);
    }
  }
  return { attempt, epoch, problems };
};

const ENDS: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'retried', 'lost']);

/** Each epoch that was claimed and ended otherwise than by being given back stands in the list of attempts, once and in order. */
const checkEntries = (record: JobStory['record'], history: JobEvent[]): string[] => {
  const ended = history
    .filter(({ type, data }) => ENDS.has(type) && data.epoch !== undefined)
    .map(({ data }) => data.epoch);
  const listed = record.attempts.map((entry) => entry.epoch);
  if (ended.join() === listed.join()) return [];
  return [`lists the ends of epochs ${listed.join(', ')}; its history has those of ${ended.join(', ')}`];
};
