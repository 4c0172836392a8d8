import { AppError } from '@berth/domain';
import { type JobRecord, toZip } from '@berth/store';
import type { Context } from 'hono';
import { answerArchive } from '../artifacts/answer-archive.js';
import { type ArtifactReader, NOTHING, type Which } from '../artifacts/artifact-reader.js';
import type { Streams } from '../byte-stream.js';

interface AnswerZipOptions {
  artifacts: Pick<ArtifactReader, 'find'>;
  streams: Streams;
}

/** Answers with all the files of a job as one zip. Undefined where there are none. */
export const createAnswerZip = ({ artifacts, streams }: AnswerZipOptions) => {
  const parts = { filename: 'output.zip', type: 'application/zip', toArchive: toZip, streams };

  const answer = async (c: Context, job: JobRecord, which: Which): Promise<Response | undefined> => {
    const found = await artifacts.find(job, which);
    // A job that wrote nothing has left an empty zip; one whose files could not be kept has left none.
    if (!found || found.listing === NOTHING) return undefined;
    return answerArchive(c, found, parts);
  };

  /** `gone`: its files are kept no longer; `conflict`: it has just ended, or not begun. */
  const orNothing = (error: unknown): undefined => {
    if (error instanceof AppError && (error.code === 'gone' || error.code === 'conflict')) return undefined;
    throw error;
  };

  return {
    /** What its last attempt left. */
    kept: (c: Context, job: JobRecord): Promise<Response | undefined> => answer(c, job, {}).catch(orNothing),

    /** What it has written so far. Throws AppError `unavailable`. */
    live: (c: Context, job: JobRecord): Promise<Response | undefined> =>
      answer(c, job, { partial: 'true' }).catch(orNothing),
  };
};

export type AnswerZip = ReturnType<typeof createAnswerZip>;
