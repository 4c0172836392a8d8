import type { LogStream } from '@berth/store';
import { z } from '@hono/zod-openapi';
import { integerParam } from './request-input.js';

const PLACES = ['offset', 'from_line', 'tail', 'since'] as const;
const MOST = 1_000_000_000_000_000;

const UNIX = /^\d{1,11}(?:\.\d{1,9})?$/;
const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Unix milliseconds of an RFC 3339 time, or of Unix seconds. */
const toTime = (text: string): number => {
  if (UNIX.test(text)) return Number(text) * 1000;
  const day = RFC3339.exec(text)?.[1];
  return day !== undefined && isDay(day) ? Date.parse(text.toUpperCase()) : Number.NaN;
};

/** Beyond the end of a month a date rolls over into the next one. */
const isDay = (day: string): boolean => {
  const time = Date.parse(day);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
};

const timeParam = z
  .string()
  .refine((text) => !Number.isNaN(toTime(text)), 'must be a time as in RFC 3339 (with an offset or Z), or Unix seconds')
  .transform(toTime)
  .openapi({ type: 'string', description: 'Only what was written from then on: RFC 3339, or Unix seconds.' });

const flag = (description: string) => z.enum(['true', 'false']).optional().openapi({ description });

export const logQuerySchema = z
  .strictObject({
    stream: z.enum(['stdout', 'stderr', 'both']).default('both'),
    offset: integerParam({ min: 0, max: MOST }, { description: 'From this byte on, of what is asked for.' }).optional(),
    from_line: integerParam({ min: 1, max: MOST }, { description: 'From this line on; the first is 1.' }).optional(),
    tail: integerParam({ min: 0, max: 100_000 }, { description: 'Only so many of the last lines.' }).optional(),
    since: timeParam.optional(),
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
