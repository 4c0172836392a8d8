import { AppError } from '@berth/domain';
import { type ArtifactSummary, type JobRecord, type OutputNames, objectNames } from '@berth/store';

/** What one attempt left, and where it is kept. */
export interface ArtifactSet {
  attempt: number;
  summary: ArtifactSummary;
  names: OutputNames;
  /** Seen while its container ran. */
  partial: boolean;
}

interface Wanted {
  attempt?: number | undefined;
  epoch?: number | undefined;
}

/** The last attempt that is meant and kept files. Undefined: there is none. */
export const findArtifactSet = (job: JobRecord, { attempt, epoch }: Wanted): ArtifactSet | undefined => {
  const found = job.attempts.findLast(
    (one) =>
      one.artifacts &&
      (attempt === undefined || one.attempt === attempt) &&
      (epoch === undefined || one.artifacts.epoch === epoch),
  );
  if (!found?.artifacts) return undefined;
  const { artifacts: summary } = found;
  return {
    attempt: found.attempt,
    summary,
    names: objectNames.outputs(job.job_id, summary.epoch),
    partial: false,
  };
};

export const toGone = (): AppError =>
  new AppError('gone', 'The files of this job are kept no longer: their time was up. Run it again to have them again.');

const VERSION = 1;

/** A place in a list of files: of an epoch, after a path. */
export interface ArtifactPlace {
  epoch: number;
  after: string;
}

export const toArtifactCursor = ({ epoch, after }: ArtifactPlace): string =>
  Buffer.from(JSON.stringify([VERSION, epoch, after])).toString('base64url');

/** Throws AppError `invalid_request` for what we did not make. */
export const parseArtifactCursor = (cursor: string): ArtifactPlace => {
  try {
    const [version, epoch, after] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    const place = { epoch, after };
    if (version === VERSION && Number.isInteger(epoch) && toArtifactCursor(place) === cursor) return place;
  } catch {}
  throw new AppError('invalid_request', 'The cursor is not one that a list gave out. Begin without one.', {
    problems: [{ path: 'query.cursor', message: 'is not a cursor of ours' }],
  });
};
