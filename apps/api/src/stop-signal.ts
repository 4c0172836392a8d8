/** One signal for two reasons to stop: the client went away, or the server shuts down. `release` lets go of both. */
export const linkSignals = (
  ...sources: AbortSignal[]
): { signal: AbortSignal; abort: () => void; release: () => void } => {
  const stop = new AbortController();
  const abort = () => stop.abort();
  for (const source of sources) {
    if (source.aborted) abort();
    else source.addEventListener('abort', abort, { once: true });
  }
  const release = () => {
    for (const source of sources) source.removeEventListener('abort', abort);
  };
  return { signal: stop.signal, abort, release };
};
