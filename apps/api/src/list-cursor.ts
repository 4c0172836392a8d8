import { AppError } from '@berth/domain';
import { isJobId } from '@berth/store';

const VERSION = '1';

/** A place in a list, opaque to clients: after the job with this id. */
export const toCursor = (job_id: string): string => Buffer.from(`${VERSION}:${job_id}`).toString('base64url');

/** Throws AppError `invalid_request` for what we did not make. */
export const parseCursor = (cursor: string): string => {
  const [version, job_id = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(':');
  if (version === VERSION && isJobId(job_id) && toCursor(job_id) === cursor) return job_id;
  throw new AppError('invalid_request', 'The cursor is not one that a list gave out. Begin without one.', {
    problems: [{ path: 'query.cursor', message: 'is not a cursor of ours' }],
  });
};
