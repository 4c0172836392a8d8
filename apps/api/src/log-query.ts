import type { LogStream } from '@berth/store';
import { z } from '@hono/zod-openapi';
import { integerParam, timeParam } from './request-input.js';

const PLACES = ['offset', 'from_line', 'tail', 'since'] as const;
const MOST = 1_000_000_000_000_000;

const flag = (description: string) => z.enum(['true', 'false']).optional().openapi({ description });

export const logQuerySchema = z
  .strictObject({
    stream: z.enum(['stdout', 'stderr', 'both']).default('both'),
    offset: integerParam({ min: 0, max: MOST }, { description: 'From this byte on, of what is asked for.' }).optional(),
    from_line: integerParam({ min: 1, max: MOST }, { description: 'From this line on; the first is 1.' }).optional(),
    tail: integerParam({ min: 0, max: 100_000 }, { description: 'Only so many of the last lines.' }).optional(),
    since: timeParam('Only what was written then or later.'),
    timestamps: flag('Say when each line was written. Default: false.'),
    follow: flag('Go on until the job ends. Default: true as an event stream, else false.'),
  })
  .superRefine((query, context) => {
    const given = PLACES.filter((name) => query[name] !== undefined);
    for (const path of given.length > 1 ? given : []) {
      context.addIssue({
        code: 'custom',
        path: [path],
        message: `stands beside ${others(given, path)}: give one of them`,
      });
    }
  });

const others = (given: string[], name: string): string => given.filter((other) => other !== name).join(' and ');

/** Our own notes on where output was cut belong to whatever is asked for. */
export const toStreams = (wanted: 'stdout' | 'stderr' | 'both'): readonly LogStream[] =>
  wanted === 'both' ? ['stdout', 'stderr', 'note'] : [wanted, 'note'];
