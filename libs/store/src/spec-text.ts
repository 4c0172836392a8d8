import { isDeepStrictEqual } from 'node:util';
import type { JobSpec, RetryPolicy } from '@berth/domain';

/**
 * What a stored spec leaves out, because most jobs have it so: half of what one takes. Part of the record's format: these never change, whatever
 * a new job gets by default some day, or jobs that are stored would turn into others.
 */
const AS_USUAL = {
  labels: {},
  env: {},
  workdir: '/workspace',
  stop_grace_seconds: 10,
  network: 'none',
  priority: 50,
  max_attempts: 1,
} satisfies Partial<JobSpec>;

const USUAL_RETRY: Omit<RetryPolicy, 'max_attempts'> = {
  on: ['exit_code', 'out_of_memory', 'timeout', 'image_pull_failed', 'killed_externally', 'removed_externally'],
  backoff_seconds: 1,
  max_backoff_seconds: 60,
};

/** `max_attempts` of the retry policy is the spec's own. */
const toUsual = (max_attempts = AS_USUAL.max_attempts): Record<string, unknown> =>
  Object.assign({ retry: Object.assign({ max_attempts }, USUAL_RETRY) }, AS_USUAL);

/** A spec as its record has it, in JSON. It is never empty: the image and the command are always in it. */
export const toSpecText = (spec: Omit<JobSpec, 'after'>): string => {
  const usual = toUsual(spec.max_attempts);
  const isUnusual = ([name, value]: [string, unknown]): boolean =>
    value !== usual[name] && !(typeof value === 'object' && isDeepStrictEqual(value, usual[name]));
  return JSON.stringify(Object.fromEntries(Object.entries(spec).filter(isUnusual)));
};

/** The other way round, also of a text that has everything in it. What was asked for comes first. */
export const toSpec = (text: string): JobSpec => {
  const stored = JSON.parse(text) as JobSpec;
  // Not a literal that spreads them, which takes three times as long: lists read a thousand of these.
  return Object.assign({}, stored, toUsual(stored.max_attempts), stored);
};
