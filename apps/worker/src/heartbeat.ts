import type { ReportedHeartbeat, WorkerRegistry } from '@berth/store';
import type { Logger } from 'pino';

interface HeartbeatOptions {
  worker: string;
  every_ms: number;
  describe: () => Promise<Omit<ReportedHeartbeat, 'worker' | 'at'>>;
}

/**
 * Reports this worker to the registry at once and every few seconds; `close` takes it off the list. What `describe` gives is timed by the
 * broker's clock: a machine whose own is wrong is not lost.
 */
export const startHeartbeat = (
  registry: WorkerRegistry,
  { worker, every_ms, describe }: HeartbeatOptions,
  log: Logger,
): { close(): Promise<void> } => {
  let beating: Promise<void> | undefined;
  const beat = (): void => {
    beating ??= describe()
      .then((it) => registry.report({ worker, ...it }))
      .catch((err) => log.warn({ err }, 'could not send a heartbeat'))
      .finally(() => {
        beating = undefined;
      });
  };
  beat();
  const timer = setInterval(beat, every_ms);
  return {
    async close() {
      clearInterval(timer);
      await beating;
      await registry.leave(worker);
    },
  };
};
