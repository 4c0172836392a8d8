import type { JobSpec } from '@berth/domain';
import { z } from 'zod';

/**
 * What travels through BullMQ: the id of the job that the ticket was issued for, and a summary for people who read the board. Whoever takes
 * it draws the best job by then, which the record decides; where that is another one, the message is made to say so.
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

/** BullMQ serves low numbers first and numbers from 1; our users' 100 is the most urgent. */
export const toBullPriority = (priority: number): number => 101 - priority;
