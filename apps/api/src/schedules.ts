import { AppError, isTerminal, type JobState } from '@berth/domain';
import type { Scheduler, Tick } from '@berth/queue';
import {
  isUnavailable,
  type ScheduleRecord,
  type ScheduleRun,
  type ScheduleSettings,
  type ScheduleStore,
} from '@berth/store';
import type { Logger } from 'pino';
import type { Jobs } from './jobs.js';

interface SchedulesOptions {
  store: ScheduleStore;
  jobs: Pick<Jobs, 'submit' | 'cancel'>;
  readState: (job_id: string) => Promise<JobState | undefined>;
  scheduler: Scheduler;
  log: Logger;
}

export const toTiming = ({
  cron,
  timezone,
  every_seconds,
}: Pick<ScheduleRecord, 'cron' | 'timezone' | 'every_seconds'>) =>
  cron === null ? { every_seconds: every_seconds ?? 0 } : { cron, timezone };

/**
 * Submits the jobs of schedules when they are due. Each tick has an Idempotency-Key of its own, so that one that is heard twice, or by a
 * process that dies in the midst of it, gives one job.
 */
const createRun = ({ jobs, readState }: Pick<SchedulesOptions, 'jobs' | 'readState'>) => {
  const isOver = async (job_id: string | null | undefined): Promise<boolean> => {
    if (!job_id) return true;
    const state = await readState(job_id);
    return state === undefined || isTerminal(state);
  };

  const cancelLast = async (job_id: string): Promise<void> => {
    await jobs.cancel(job_id).catch((error) => {
      if (!(error instanceof AppError && (error.code === 'job_finished' || error.code === 'not_found'))) throw error;
    });
  };

  const submit = async (schedule: ScheduleRecord, due_at: number): Promise<ScheduleRun> => {
    const idempotency_key = `schedule ${schedule.schedule_id} ${due_at}`;
    const { job } = await jobs.submit(schedule.job, { user: schedule.user, idempotency_key });
    return { due_at, job_id: job.job_id, note: null };
  };

  return async (schedule: ScheduleRecord, due_at: number): Promise<ScheduleRun> => {
    const last = schedule.last_run;
    // Heard before: what became of it stands.
    if (last !== null && last.due_at >= due_at) return last;
    if (schedule.overlap === 'skip' && !(await isOver(last?.job_id))) {
      return { due_at, job_id: last?.job_id ?? null, note: 'skipped: its last job had not ended' };
    }
    if (schedule.overlap === 'replace' && last?.job_id && !(await isOver(last.job_id))) await cancelLast(last.job_id);
    return submit(schedule, due_at);
  };
};

/**
 * Makes it ring as its record says, or not. Several may do so at a time, and the last of them may have read the oldest record: so each
 * looks again when it is done, and whoever comes last has seen the last record.
 */
const createWind = ({ store, scheduler }: Pick<SchedulesOptions, 'store' | 'scheduler'>) => {
  const readTiming = async (schedule_id: string) => {
    const schedule = await store.read(schedule_id);
    return schedule === null || schedule.paused ? null : toTiming(schedule);
  };

  return async (schedule_id: string): Promise<void> => {
    for (let timing = await readTiming(schedule_id); ; ) {
      if (timing === null) await scheduler.clear(schedule_id);
      else await scheduler.set(schedule_id, timing);
      const present = await readTiming(schedule_id);
      if (JSON.stringify(present) === JSON.stringify(timing)) return;
      timing = present;
    }
  };
};

export const createSchedules = ({ store, jobs, readState, scheduler, log }: SchedulesOptions) => {
  const run = createRun({ jobs, readState });
  const wind = createWind({ store, scheduler });

  /** A job that is refused is not tried again for this time; what is away for now is. */
  const hear = async ({ schedule_id, due_at }: Tick): Promise<void> => {
    const schedule = await store.read(schedule_id);
    if (schedule === null || schedule.paused) {
      await wind(schedule_id);
      return;
    }
    const outcome = await run(schedule, due_at).catch((error: unknown): ScheduleRun => {
      if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
      log.warn({ schedule_id, code: error.code }, 'the job of a schedule was refused');
      return { due_at, job_id: schedule.last_run?.job_id ?? null, note: `refused: ${error.message}` };
    });
    await store.writeRun(schedule_id, outcome);
  };

  /** What a crash left between the record and the queue, or a queue that lost its part. */
  const mend = async (): Promise<void> => {
    for (const schedule of await store.list()) {
      if (schedule.paused || (await scheduler.isSet(schedule.schedule_id))) continue;
      await wind(schedule.schedule_id);
    }
  };

  return {
    start(): void {
      scheduler.listen((tick) =>
        hear(tick).catch((err) => {
          if (!isUnavailable(err))
            log.warn({ err, schedule_id: tick.schedule_id }, 'a schedule could not run; trying again');
          throw err;
        }),
      );
      mend().catch((err) => log.warn({ err }, 'could not look after the schedules'));
    },

    /** Stores a new one, and makes it ring at its times, or not where it is paused. */
    async add(schedule: ScheduleSettings): Promise<void> {
      await store.write(schedule);
      await wind(schedule.schedule_id);
    },

    /** Changes one that still is as it was read. False: it is another by now, or gone, and nothing was changed. */
    async change(before: ScheduleSettings, after: ScheduleSettings): Promise<boolean> {
      if (!(await store.replace(before, after))) return false;
      await wind(after.schedule_id);
      return true;
    },

    async remove(schedule_id: string): Promise<boolean> {
      const was_there = await store.remove(schedule_id);
      await wind(schedule_id);
      return was_there;
    },

    nextRuns: (schedule: ScheduleRecord, count: number): Promise<number[]> =>
      scheduler.nextRuns(schedule.schedule_id, toTiming(schedule), count),
  };
};

export type Schedules = ReturnType<typeof createSchedules>;
