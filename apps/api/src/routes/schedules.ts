import { AppError } from '@berth/domain';
import { findTimingProblem } from '@berth/queue';
import {
  createJobId,
  isJobId,
  OVERLAP_POLICIES,
  type ScheduleRecord,
  type ScheduleSettings,
  type ScheduleStore,
} from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { isOwn, readPrincipal } from '../auth.js';
import { toProblems } from '../errors.js';
import type { Jobs } from '../jobs.js';
import { readJsonBody } from '../request-body.js';
import { type Schedules, toTiming } from '../schedules.js';
import { submitBodySchema } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';

const NEXT_RUNS = 5;
const time = z.string().openapi({ format: 'date-time' });

const cron = z
  .string()
  .min(1)
  .max(256)
  .openapi({ description: 'Five fields, minute first, or six that begin with the second.', example: '30 2 * * 1-5' });
const everySeconds = z
  .number()
  .int()
  .min(1)
  .max(366 * 24 * 3600)
  .openapi({ description: 'Begins at once.' });
const overlap = z.enum(OVERLAP_POLICIES).openapi({
  description:
    'When it is due and its last job has not ended: `allow` one more, `skip` this time, or cancel and `replace` it.',
});
const fields = {
  name: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[^\p{Cc}\p{Cs}]+$/u, 'must not contain control characters'),
  cron: cron.optional(),
  every_seconds: everySeconds.optional(),
  timezone: z.string().min(1).max(64),
  overlap,
  paused: z.boolean(),
  job: submitBodySchema,
};

const createSchema = z
  .strictObject({
    ...fields,
    timezone: fields.timezone.default('UTC'),
    overlap: overlap.default('allow'),
    paused: fields.paused.default(false),
  })
  .openapi('NewSchedule');

const changeSchema = z.strictObject(fields).partial().openapi('ScheduleChange');

const scheduleSchema = z
  .object({
    schedule_id: z.string(),
    user: z.string(),
    name: z.string(),
    cron: z.string().nullable(),
    timezone: z.string(),
    every_seconds: z.number().int().nullable(),
    overlap,
    paused: z.boolean(),
    job: z.record(z.string(), z.unknown()),
    created_at: time,
    last_run: z
      .object({
        due_at: time,
        job_id: z.string().nullable().openapi({ description: 'The last job that it submitted.' }),
        note: z.string().nullable().openapi({ description: 'Why none was submitted at this time.' }),
      })
      .nullable(),
    next_runs: z.array(time).openapi({ description: `The next ${NEXT_RUNS}. Empty while it is paused.` }),
  })
  .openapi('Schedule');

const params = z.object({ id: z.string() });
const body = (schema: z.ZodType) => ({ required: true, content: { 'application/json': { schema } } });
const answer = (description: string) => ({ description, content: { 'application/json': { schema: scheduleSchema } } });
const missing = { 404: problem('There is no such schedule') };

const createRouteOf = createRoute({
  method: 'post',
  path: '/v1/schedules',
  summary: 'Submit a job again and again',
  request: { body: body(createSchema) },
  responses: { 201: answer('The schedule'), ...commonProblems, 422: problem('No class holds its job') },
});
const listRoute = createRoute({
  method: 'get',
  path: '/v1/schedules',
  summary: 'List schedules, oldest first',
  responses: {
    200: {
      description: 'The schedules',
      content: { 'application/json': { schema: z.object({ schedules: z.array(scheduleSchema) }) } },
    },
    ...commonProblems,
  },
});
const readRoute = createRoute({
  method: 'get',
  path: '/v1/schedules/{id}',
  summary: 'Read a schedule, with its next times',
  request: { params },
  responses: { 200: answer('The schedule'), ...commonProblems, ...missing },
});
const changeRoute = createRoute({
  method: 'patch',
  path: '/v1/schedules/{id}',
  summary: 'Change, pause or resume a schedule',
  request: { params, body: body(changeSchema) },
  responses: { 200: answer('The schedule'), ...commonProblems, ...missing },
});
const removeRoute = createRoute({
  method: 'delete',
  path: '/v1/schedules/{id}',
  summary: 'Remove a schedule; the jobs that it has submitted stay',
  request: { params },
  responses: { 204: { description: 'It is gone' }, ...commonProblems, ...missing },
});

const toTime = (ms: number): string => new Date(ms).toISOString();

const parse = <S extends z.ZodType>(schema: S, input: unknown): z.output<S> => {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw refuse(toProblems(parsed.error));
};

const refuse = (problems: { path: string; message: string }[]): AppError =>
  new AppError('invalid_request', 'The schedule is not valid.', { problems });

/** What the schema alone cannot see: one way to say when, and a time that comes. */
const checkTiming = (schedule: ScheduleSettings): ScheduleSettings => {
  if ((schedule.cron === null) === (schedule.every_seconds === null)) {
    throw refuse([{ path: '$', message: 'must have one of cron and every_seconds' }]);
  }
  const wrong = findTimingProblem(toTiming(schedule));
  if (wrong) throw refuse([{ path: `$.${wrong.field}`, message: wrong.message }]);
  return schedule;
};

/** What a change makes of a schedule: what it leaves out stays. */
const parseChange = async (raw: unknown, user: string, jobs: Pick<Jobs, 'check'>) => {
  const { cron: at, every_seconds, job: _, ...plain } = parse(changeSchema, raw);
  const { job } = raw as { job?: Record<string, unknown> };
  if (job) await jobs.check(job, user);
  const timing =
    at !== undefined || every_seconds !== undefined ? { cron: at ?? null, every_seconds: every_seconds ?? null } : {};
  return (before: ScheduleSettings) =>
    ({ ...before, ...plain, ...timing, ...(job ? { job } : {}) }) as ScheduleSettings;
};

interface ScheduleRoutesOptions {
  schedules: Schedules;
  store: ScheduleStore;
  jobs: Pick<Jobs, 'check'>;
  now: () => number;
}

const createViews = ({ schedules, store }: Pick<ScheduleRoutesOptions, 'schedules' | 'store'>) => {
  const toAnswer = async (schedule: ScheduleRecord) => {
    const { last_run, created_at } = schedule;
    const next = schedule.paused ? [] : await schedules.nextRuns(schedule, NEXT_RUNS);
    return {
      ...schedule,
      created_at: toTime(created_at),
      last_run: last_run && { ...last_run, due_at: toTime(last_run.due_at) },
      next_runs: next.map(toTime),
    };
  };

  const find = async (c: Context): Promise<ScheduleRecord> => {
    const id = c.req.param('id') ?? '';
    const found = isJobId(id) ? await store.read(id) : null;
    if (found === null || !isOwn(c, found)) {
      throw new AppError('not_found', 'There is no such schedule.');
    }
    return found;
  };

  const readBack = async (schedule: ScheduleSettings) =>
    toAnswer((await store.read(schedule.schedule_id)) ?? { ...schedule, last_run: null });

  return { toAnswer, find, readBack };
};

export const addScheduleRoutes = (app: OpenAPIHono, options: ScheduleRoutesOptions): void => {
  const { schedules, store, jobs, now } = options;
  const { toAnswer, find, readBack } = createViews(options);

  addRoute(app, createRouteOf, async (c) => {
    const raw = await readJsonBody(c);
    const input = parse(createSchema, raw);
    const schedule_id = createJobId(now());
    const { user } = readPrincipal(c);
    const job = (raw as { job: Record<string, unknown> }).job;
    await jobs.check(job, user);
    const { name, timezone, overlap: policy, paused } = input;
    const timing = { cron: input.cron ?? null, timezone, every_seconds: input.every_seconds ?? null };
    const fresh = { schedule_id, user, name, ...timing, overlap: policy, paused, job, created_at: now() };
    await schedules.add(checkTiming(fresh));
    return c.json(await readBack(fresh), 201, { Location: `/v1/schedules/${schedule_id}` });
  });

  addRoute(app, listRoute, async (c) => {
    const own = (await store.list()).filter((schedule) => isOwn(c, schedule));
    return c.json({ schedules: await Promise.all(own.map(toAnswer)) }, 200);
  });

  addRoute(app, readRoute, async (c) => c.json(await toAnswer(await find(c)), 200));

  addRoute(app, changeRoute, async (c) => {
    const { user } = await find(c);
    const toChanged = await parseChange(await readJsonBody(c), user, jobs);
    for (;;) {
      const { last_run: _, ...before } = await find(c);
      const changed = checkTiming(toChanged(before));
      if (await schedules.change(before, changed)) return c.json(await readBack(changed), 200);
    }
  });

  addRoute(app, removeRoute, async (c) => {
    await schedules.remove((await find(c)).schedule_id);
    return c.body(null, 204) as never;
  });
};
