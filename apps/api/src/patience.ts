import { FilesUnavailable, isUnavailable } from '@berth/store';
import { createWake } from './wake.js';

const RETRY_MS = 250;

/**
 * Reads again while the broker or the file store is away, until it answers or `signal` aborts: for waits and streams that were let in before it
 * went. Whoever comes while it is away is turned away at once.
 */
export const readPatiently = async <T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> => {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (signal.aborted || !(isUnavailable(error) || error instanceof FilesUnavailable)) throw error;
    }
    await createWake().wait(RETRY_MS, signal);
  }
};
