import { AppError } from '@berth/domain';
import { isJobId } from '@berth/store';

const VERSION = '1';
const FILES = 'f1';

const refuse = (): AppError =>
  new AppError('invalid_request', 'The cursor is not one that a list gave out. Begin without one.', {
    problems: [{ path: 'query.cursor', message: 'is not a cursor of ours' }],
  });

/** A place in a list, opaque to clients: after the job with this id. */
export const toCursor = (job_id: string): string => Buffer.from(`${VERSION}:${job_id}`).toString('base64url');

/** A place in a list of files: `<created_at>:<sha256>`. */
export const toFileCursor = (place: string): string => Buffer.from(`${FILES}:${place}`).toString('base64url');

const FILE_PLACE = /^f1:(\d{13}:[0-9a-f]{64})$/;

/** Throws AppError `invalid_request` for what we did not make. */
export const parseFileCursor = (cursor: string): string => {
  const place = FILE_PLACE.exec(Buffer.from(cursor, 'base64url').toString('utf8'))?.[1];
  if (place !== undefined && toFileCursor(place) === cursor) return place;
  throw refuse();
};

/** Throws AppError `invalid_request` for what we did not make. */
export const parseCursor = (cursor: string): string => {
  const [version, job_id = ''] = Buffer.from(cursor, 'base64url').toString('utf8').split(':');
  if (version === VERSION && isJobId(job_id) && toCursor(job_id) === cursor) return job_id;
  throw refuse();
};
