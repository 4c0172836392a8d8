import { AppError } from '@berth/domain';
import { type ArrayList, type ArrayRecord, isJobId } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { parseIndexCursor, toArrayAnswer, toIndexCursor } from '../array-answer.js';
import type { Arrays } from '../arrays.js';
import { isOwn, toListedUser } from '../auth.js';
import { parseCursor, toCursor } from '../list-cursor.js';
import { refuseBody } from '../request-body.js';
import {
  arrayEntriesSchema,
  arrayIdParams,
  arrayJobsQuerySchema,
  arrayListSchema,
  arraySchema,
  listArraysQuerySchema,
} from '../schemas/array.js';
import { commonProblems, problem } from '../schemas/problem.js';

const json = <S extends z.ZodType>(description: string, schema: S) => ({
  description,
  content: { 'application/json': { schema } },
});
const missing = { ...commonProblems, 404: problem('There is no such array') };

const listRoute = createRoute({
  method: 'get',
  path: '/v1/arrays',
  summary: 'List arrays, newest first',
  request: { query: listArraysQuerySchema },
  responses: { 200: json('A page', arrayListSchema), ...commonProblems },
});

const readRoute = createRoute({
  method: 'get',
  path: '/v1/arrays/{id}',
  summary: 'Read an array: how many of its jobs are where',
  request: { params: arrayIdParams },
  responses: { 200: json('The array', arraySchema), ...missing },
});

const jobsRoute = createRoute({
  method: 'get',
  path: '/v1/arrays/{id}/jobs',
  summary: 'List the jobs of an array by index, also by state',
  request: { params: arrayIdParams, query: arrayJobsQuerySchema },
  responses: { 200: json('A page', arrayEntriesSchema), ...missing },
});

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/arrays/{id}/cancel',
  summary: 'Cancel what has not ended of an array; twice is once',
  request: { params: arrayIdParams },
  responses: {
    200: json('The array; running jobs end within their grace time', arraySchema),
    ...missing,
    409: problem('The array has finished; `state` says how'),
  },
});

const rerunRoute = createRoute({
  method: 'post',
  path: '/v1/arrays/{id}/rerun',
  summary: 'Run the failed jobs of an array once more, and only these',
  request: { params: arrayIdParams },
  responses: {
    200: json('How many there are, and the array', z.object({ rerun: z.number().int(), array: arraySchema })),
    ...missing,
  },
});

interface ArrayRoutesOptions {
  arrays: Arrays;
  list: ArrayList;
}

export const addArrayRoutes = (app: OpenAPIHono, { arrays, list }: ArrayRoutesOptions): void => {
  /** Throws AppError `not_found`, in the same words, where there is none or it is another user's. */
  const readOwn = async (c: Context): Promise<ArrayRecord> => {
    const id = c.req.param('id') ?? '';
    const array = isJobId(id) ? await arrays.read(id) : undefined;
    if (!array || !isOwn(c, array)) throw new AppError('not_found', 'There is no such array.');
    return array;
  };

  addRoute(app, listRoute, async (c, { limit, cursor, user }) => {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const page = await list.list(toListedUser(c, user), limit, after);
    const next_cursor = page.next === null ? null : toCursor(page.next);
    return c.json({ arrays: page.arrays.map(toArrayAnswer), next_cursor }, 200);
  });

  addRoute(app, readRoute, async (c) => c.json(toArrayAnswer(await readOwn(c)), 200));

  addRoute(app, jobsRoute, async (c, { state, limit, cursor }) => {
    const page = await list.readEntries(await readOwn(c), { state, limit, from: parseIndexCursor(cursor) });
    return c.json({ jobs: page.entries, next_cursor: toIndexCursor(page.next) }, 200);
  });

  addRoute(app, cancelRoute, async (c) => {
    await refuseBody(c);
    const { array_id } = await readOwn(c);
    return c.json(toArrayAnswer(await arrays.cancel(array_id)), 200);
  });

  addRoute(app, rerunRoute, async (c) => {
    await refuseBody(c);
    const { array_id } = await readOwn(c);
    const { array, rerun } = await arrays.rerun(array_id);
    return c.json({ rerun, array: toArrayAnswer(array) }, 200);
  });
};
