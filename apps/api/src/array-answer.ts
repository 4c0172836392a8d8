import { AppError, toArrayProgress, toRetryPolicy } from '@berth/domain';
import type { ArrayRecord } from '@berth/store';
import type { ArrayAnswer } from './schemas/array.js';

const toTime = (ms: number): string => new Date(ms).toISOString();

export const toArrayAnswer = (array: ArrayRecord): ArrayAnswer => ({
  array_id: array.array_id,
  user: array.user,
  state: array.state,
  cause: array.cause,
  message: array.message,
  waiting_for: array.after_left > 0 && array.finished_at === null ? 'dependencies' : null,
  class: array.class,
  size: array.size,
  max_running: array.max_running,
  counts: array.counts,
  progress: toArrayProgress(array.counts),
  created_at: toTime(array.created_at),
  finished_at: array.finished_at === null ? null : toTime(array.finished_at),
  spec: { ...array.spec, retry: toRetryPolicy(array.spec) },
});

const INDEX = /^1:(0|[1-9]\d{0,6})$/;

/** A place in the list of an array's jobs, opaque to clients. */
export const toIndexCursor = (index: number | null): string | null =>
  index === null ? null : Buffer.from(`1:${index}`).toString('base64url');

/** Throws AppError `invalid_request` for what we did not make. */
export const parseIndexCursor = (cursor: string | undefined): number => {
  if (cursor === undefined) return 0;
  const found = INDEX.exec(Buffer.from(cursor, 'base64url').toString('utf8'))?.[1];
  if (found !== undefined && toIndexCursor(Number(found)) === cursor) return Number(found);
  throw new AppError('invalid_request', 'The cursor is not one that a list gave out. Begin without one.', {
    problems: [{ path: 'query.cursor', message: 'is not a cursor of ours' }],
  });
};
