import { z } from 'zod';
import { userNameSchema } from './principal.js';

const MOST_SECONDS = 100 * 365 * 24 * 3600;
const MOST_NAMED = 10_000;

const seconds = z.number().int().min(60).max(MOST_SECONDS).optional();

/** How long something is kept: records, logs and artifacts from the end of their job, uploads from their last use. What is absent is not said. */
export const keepSchema = z.strictObject({
  records_seconds: seconds,
  logs_seconds: seconds,
  artifacts_seconds: seconds,
  uploads_seconds: seconds,
});
export type Keep = z.output<typeof keepSchema>;

const named = (name: z.ZodString | z.ZodType<string, string>) =>
  z.record(name, keepSchema).refine((all) => Object.keys(all).length <= MOST_NAMED, `must name at most ${MOST_NAMED}`);

/** Who keeps what for how long. The most specific word counts: of a user, then of a class, then the default. Uploads have no class. */
export const retentionSchema = z.strictObject({
  default: keepSchema.optional(),
  classes: named(z.string().min(1).max(32)).optional(),
  users: named(userNameSchema.or(z.literal('local'))).optional(),
});
export type RetentionBook = z.output<typeof retentionSchema>;

export type Kept = 'records' | 'logs' | 'artifacts' | 'uploads';

/** `fallback_seconds` where the book says nothing. */
export const toKeepSeconds = (
  { default: all, classes, users }: RetentionBook,
  what: Kept,
  whose: { user: string; class?: string },
  fallback_seconds: number,
): number => {
  const field = `${what}_seconds` as const;
  const ofUser = users && Object.hasOwn(users, whose.user) ? users[whose.user]?.[field] : undefined;
  const name = whose.class;
  const ofClass = name !== undefined && classes && Object.hasOwn(classes, name) ? classes[name]?.[field] : undefined;
  return ofUser ?? ofClass ?? all?.[field] ?? fallback_seconds;
};

/** The longest time that anybody keeps it. */
export const toMostKeepSeconds = (book: RetentionBook, what: Kept, fallback_seconds: number): number => {
  const field = `${what}_seconds` as const;
  const said = [...Object.values(book.classes ?? {}), ...Object.values(book.users ?? {})].map((keep) => keep[field]);
  return Math.max(book.default?.[field] ?? fallback_seconds, ...said.filter((one) => one !== undefined));
};
