import type { JobSpec } from '@berth/domain';
import { z } from 'zod';

/**
 * What travels through BullMQ: the job's id, and a summary for people who read the board. Only the id is ever acted upon, and
 * even that is checked against the record.
 */
export const messageSchema = z.object({
  job_id: z.string().min(1).max(64),
  image: z.string(),
  command: z.string(),
});
export type Message = z.infer<typeof messageSchema>;

const HEAD = 120;

const toHead = (command: JobSpec['command']): string => {
  const text = typeof command === 'string' ? command : command.join(' ');
  return text.length > HEAD ? `${text.slice(0, HEAD)}…` : text;
};

export const toMessage = (job_id: string, spec: JobSpec): Message => ({
  job_id,
  image: spec.image,
  command: toHead(spec.command),
});

/** BullMQ refuses a second message with an id that it still knows, so each dispatch of a job has an id of its own. */
export const toMessageId = (job_id: string, dispatch: number): string => `${job_id}-${dispatch}`;

/** BullMQ serves low numbers first and numbers from 1; our users' 100 is the most urgent. */
export const toBullPriority = (priority: number): number => 101 - priority;
