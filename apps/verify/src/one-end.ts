import { applyEvent, isTerminal, type JobState } from '@berth/domain';
import type { JobStory } from './evidence.js';

/** I1: exactly one terminal event for a job that has ended, none for another; and a history that leads to the recorded state. */
export const checkOneEnd = ({ record, history }: JobStory): string[] => {
  const problems: string[] = [];
  const say = (text: string) => problems.push(`${record.job_id} ${text}`);
  const ends = history.filter((event) => isTerminal(event.state));
  const wanted = isTerminal(record.state) ? 1 : 0;
  if (ends.length !== wanted) say(`is ${record.state} and has ${ends.length} terminal events`);
  if (wanted === 1 && record.finished_at === null) say('has ended without a time of its end');
  return [...problems, ...checkPath(record, history)];
};

/** Every event where it belongs, every step an edge, and the last one the present state. */
const checkPath = (record: JobStory['record'], history: JobStory['history']): string[] => {
  const problems: string[] = [];
  const say = (text: string) => problems.push(`${record.job_id} ${text}`);
  if (history[0]?.type !== 'submitted') say(`begins with ${history[0]?.type ?? 'nothing'}`);
  let state: JobState = 'pending';
  for (const [i, event] of history.entries()) {
    if (event.seq !== i + 1) say(`has event ${event.seq} in place ${i + 1}`);
    if (i === 0) continue;
    const next = applyEvent(state, event.type);
    if (next !== event.state) say(`went from ${state} to ${event.state} by ${event.type}`);
    state = event.state;
  }
  if (state !== record.state) say(`is ${record.state}, but its history ends in ${state}`);
  return problems;
};

/** I1, by a second witness: the stream of all events. It is bounded, so a job may be absent, but never end twice. */
export const checkAnnouncedEnds = (announced: { job_id: string; state: string }[]): string[] => {
  const counts = new Map<string, number>();
  for (const { job_id, state } of announced) {
    if (isTerminal(state as JobState)) counts.set(job_id, (counts.get(job_id) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count > 1)
    .map(([job_id, count]) => `${job_id} was announced as ended ${count} times`);
};
