import { Readable } from 'node:stream';
import { AppError } from '@berth/domain';
import { createPackReader, type JobRecord, toZip } from '@berth/store';
import type { Context } from 'hono';
import { closeOnAbort, DOWNLOAD_HEADERS, readPack } from '../artifacts/answer-file.js';
import { NOTHING, openShelf, type ShelfOptions, type Which } from '../artifacts/shelf.js';
import type { Streams } from '../byte-stream.js';
import { toDisposition } from '../http-range.js';

const TYPE = 'application/zip';

/** Answers with all the files of a job as one zip, which is made while it is sent. Undefined where there are none. */
export const createAnswerZip = ({ streams, ...options }: ShelfOptions & { streams: Streams }) => {
  const shelf = openShelf(options);

  const answer = async (c: Context, job: JobRecord, which: Which): Promise<Response | undefined> => {
    const found = await shelf.find(job, which);
    // A job that wrote nothing has left an empty zip; one whose files could not be kept has left none.
    if (!found || found.listing === NOTHING) return undefined;
    const { packed } = found.listing;
    const headers = { ...DOWNLOAD_HEADERS, 'content-type': TYPE, 'content-disposition': toDisposition('output.zip') };
    if (c.req.method === 'HEAD') return new Response(null, { headers });
    const pack = packed.some(({ bytes }) => bytes > 0) ? await found.open() : Readable.from([]);
    const start = (signal: AbortSignal) => readPack(pack, toZip(packed, createPackReader(closeOnAbort(pack, signal))));
    return streams.answer(c, TYPE, start, { headers });
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
