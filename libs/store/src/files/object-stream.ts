import { finished, PassThrough, type Readable } from 'node:stream';
import type { FilesUnavailable } from './file-store.js';

/** The bytes of an object as they come. What breaks the source off is told in the store's words; whoever has had enough ends the source too. */
export const toObjectStream = (source: Readable, toFault: (cause: unknown) => FilesUnavailable): Readable => {
  const given = new PassThrough({ highWaterMark: 256 * 1024 });
  // It may break off before anybody reads it; whoever does then is told.
  given.on('error', () => undefined);
  given.once('close', () => source.destroy());
  finished(source, { writable: false }, (error) => {
    if (error) given.destroy(toFault(error));
  });
  return source.pipe(given);
};
