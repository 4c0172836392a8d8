import { AppError, type Problem } from '@berth/domain';
import { isJobId } from '@berth/store';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { toProblems } from './errors.js';

/** A whole number in a query, written in digits only. `shown` is for the contract, which cannot see through the parsing. */
export const integerParam = (
  { min, max }: { min: number; max: number },
  shown: { description?: string; default?: number } = {},
) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    .openapi({ type: 'integer', minimum: min, maximum: max, ...shown });

/** A text in a query. No job holds control characters, and PostgreSQL cannot be asked for all of them. */
export const textParam = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}]*$/u, 'must not contain control characters');

const UNIX_SECONDS = /^\d{1,11}(?:\.\d{1,9})?$/;
const rfc3339 = z.iso.datetime({ offset: true });

/** NaN: it is none. */
const toUnixMs = (text: string): number => {
  if (UNIX_SECONDS.test(text)) return Math.round(Number(text) * 1000);
  const time = text.toUpperCase();
  return rfc3339.safeParse(time).success ? Date.parse(time) : Number.NaN;
};

/** A time in a query, as in RFC 3339 or in Unix seconds; becomes Unix milliseconds. */
export const timeParam = (description: string) =>
  z
    .string()
    .transform(toUnixMs)
    .refine(
      (ms) => !Number.isNaN(ms),
      'must be a time such as 2026-11-23T08:00:00Z (write a + as %2B), or Unix seconds',
    )
    .optional()
    .openapi({ type: 'string', description: `${description} As in RFC 3339, or Unix seconds.` });

const refuse = (problems: Problem[]): AppError =>
  new AppError('invalid_request', 'The query is not valid.', { problems });

const toQueryPath = (problem: Problem): Problem => ({ ...problem, path: problem.path.replace(/^\$/, 'query') });

const EMPTY = z.strictObject({});

/** The query of a request, strictly: nothing unknown, nothing twice. Throws AppError `invalid_request`. */
export const parseQuery = <S extends z.ZodType>(c: Context, schema: S | undefined): z.output<S> => {
  const start = c.req.url.indexOf('?');
  const given = start === -1 ? [] : [...new URLSearchParams(c.req.url.slice(start + 1))];
  const names = given.map(([name]) => name);
  const repeated = new Set(names.filter((name, i) => names.indexOf(name) !== i));
  if (repeated.size > 0) {
    throw refuse(
      [...repeated].map((name) => ({ path: `query.${name.slice(0, 128)}`, message: 'is given more than once' })),
    );
  }
  const values = Object.fromEntries(given);
  const parsed = (schema ?? EMPTY).safeParse(values);
  if (!parsed.success) throw refuse(toProblems(parsed.error).map(toQueryPath));
  return parsed.data as z.output<S>;
};

/** The job id in the path. Throws AppError `not_found` for what cannot be one. */
export const readJobId = (c: Context): string => {
  const id = c.req.param('id') ?? '';
  if (!isJobId(id)) throw new AppError('not_found', 'There is no such job.');
  return id;
};

const KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/;

/** The Idempotency-Key, or undefined where there is none. Throws AppError `invalid_request`. */
export const readIdempotencyKey = (c: Context): string | undefined => {
  const key = c.req.header('idempotency-key');
  if (key === undefined || KEY.test(key)) return key;
  throw new AppError('invalid_request', 'The Idempotency-Key must be 1 to 128 printable ASCII characters.', {
    problems: [{ path: 'header.Idempotency-Key', message: 'must be 1 to 128 printable ASCII characters' }],
  });
};

export const wantsEventStream = (c: Context): boolean => c.req.header('accept')?.includes('text/event-stream') ?? false;
