import { CronExpressionParser } from 'cron-parser';

/** When a schedule runs: by a cron expression in a time zone, or every so many seconds. */
export type Timing =
  | { cron: string; timezone: string; every_seconds?: undefined }
  | { every_seconds: number; cron?: undefined };

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
};

/** What is wrong with it, in words for whoever wrote it. Undefined: nothing. `field` is the one to change. */
export const findTimingProblem = (timing: Timing): { field: 'cron' | 'timezone'; message: string } | undefined => {
  if (timing.cron === undefined) return undefined;
  if (!isTimeZone(timing.timezone)) {
    return { field: 'timezone', message: 'must be a time zone such as Europe/Berlin or UTC' };
  }
  const fields = timing.cron.trim().split(/\s+/).length;
  const shape = 'must be five fields (minute hour day month weekday), or six that begin with the second';
  if (!timing.cron.startsWith('@') && fields !== 5 && fields !== 6) return { field: 'cron', message: shape };
  try {
    CronExpressionParser.parse(timing.cron, { tz: timing.timezone }).next();
    return undefined;
  } catch (error) {
    return { field: 'cron', message: `${shape}: ${error instanceof Error ? error.message : 'it never comes'}` };
  }
};

/** The next times of a cron expression after one, in Unix milliseconds; fewer where it comes less often. */
export const toNextRuns = (timing: { cron: string; timezone: string }, after_ms: number, count: number): number[] => {
  const runs = CronExpressionParser.parse(timing.cron, { tz: timing.timezone, currentDate: new Date(after_ms) });
  return Array.from({ length: count }, () => runs.next().getTime());
};
