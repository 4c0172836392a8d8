import { toWentBackProblem } from '@berth/store';
import type { Logger } from 'pino';

/**
 * Takes no jobs while the broker is known to have gone back to an older state: what it shows as waiting may have run. The broker refuses the
 * claims by itself; this keeps the worker from asking for them over and over, and says what is the matter. What runs goes on.
 */
export interface PastGate {
  /** Since when it is known, in Unix ms, by the broker's last word. Null: it has not gone back, or a person has seen to it. */
  heard(went_back_at: number | null): void;
  /** Settles at once where it is open, else when it opens or is closed for good. */
  passed(): Promise<void>;
  /** What is the matter and what to do; undefined while it is open. */
  readonly problem: string | undefined;
  close(): void;
}

/** `key`: the broker's note, for a person to remove. */
export const createPastGate = (key: string, onChange: (shut: boolean) => void, log: Logger): PastGate => {
  let problem: string | undefined;
  let closed = false;
  let opened: Promise<void> = Promise.resolve();
  let open: () => void = () => {};
  onChange(false);

  const shutFor = (went_back_at: number): void => {
    problem = toWentBackProblem(key, went_back_at);
    opened = new Promise((resolve) => {
      open = resolve;
    });
    log.error(`no more jobs are started. ${problem}`);
    onChange(true);
  };
  const letPass = (): void => {
    problem = undefined;
    open();
    log.info('the broker is taken as it is; jobs are started again');
    onChange(false);
  };
  return {
    heard(went_back_at) {
      if (went_back_at !== null && problem === undefined && !closed) shutFor(went_back_at);
      if (went_back_at === null && problem !== undefined) letPass();
    },
    passed: () => opened,
    get problem() {
      return problem;
    },
    close() {
      closed = true;
      open();
    },
  };
};
