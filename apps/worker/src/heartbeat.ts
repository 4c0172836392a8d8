import type { Heartbeat, WorkerRegistry } from '@berth/store';
import type { Logger } from 'pino';

const HEARTBEAT_MS = 5_000;

/**
 * Reports this worker to the registry at once and every few seconds; `close` takes it off the list. What `describe` gives is timed by the
 * broker's clock: a machine whose own is wrong is not lost.
 */
export const startHeartbeat = (
  registry: WorkerRegistry,
  describe: () => Heartbeat,
  log: Logger,
): { close(): Promise<void> } => {
  const beat = () => registry.report(describe()).catch((err) => log.warn({ err }, 'could not send a heartbeat'));
  const first = beat();
  const timer = setInterval(beat, HEARTBEAT_MS);
  return {
    async close() {
      clearInterval(timer);
      await first;
      await registry.leave(describe().worker);
    },
  };
};
