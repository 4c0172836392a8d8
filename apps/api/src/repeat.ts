import { isUnavailable } from '@berth/store';
import type { Logger } from 'pino';

interface RepeatOptions {
  period_ms: number;
  /** What to say where it fails. A broker that is away is said elsewhere. */
  failure: string;
  log: Logger;
}

/** Does something now and then, never twice at a time. `close` waits for the one that is under way. */
export const repeat = (
  pass: () => Promise<unknown>,
  { period_ms, failure, log }: RepeatOptions,
): { close(): Promise<void> } => {
  let passing: Promise<unknown> | undefined;
  const timer = setInterval(() => {
    passing ??= pass()
      .catch((err) => isUnavailable(err) || log.warn({ err }, failure))
      .finally(() => {
        passing = undefined;
      });
  }, period_ms);
  return {
    async close() {
      clearInterval(timer);
      await passing;
    },
  };
};
