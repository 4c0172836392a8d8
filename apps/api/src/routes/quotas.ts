import { AppError, LOCAL_USER, type Principal, quotaSchema, type ResourceClass, userNameSchema } from '@berth/domain';
import type { QuotaEntry, Quotas } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { readPrincipal, requireOperator } from '../auth.js';
import { toProblems } from '../errors.js';
import { readJsonBody } from '../request-body.js';
import { commonProblems, problem } from '../schemas/problem.js';

const targetFields = {
  user: z
    .union([z.enum(['*', LOCAL_USER]), userNameSchema], { error: 'must be the name of a user, or *' })
    .optional()
    .openapi({ type: 'string', description: 'A user, or `*`: every user, each on their own.' }),
  class: z
    .string()
    .min(1)
    .max(32)
    .optional()
    .openapi({ description: 'A resource class. Default: all of them together.' }),
};

const usedSchema = z
  .object({ running: z.number(), cpus: z.number(), memory_mb: z.number(), gpus: z.number(), pending: z.number() })
  .openapi('QuotaUse');

const quotaEntrySchema = z
  .object({
    user: z.string().optional(),
    class: z.string().optional(),
    ...quotaSchema.shape,
    used: usedSchema
      .nullable()
      .openapi({ description: 'What the running jobs have reserved, and how many wait. Null for `*`.' }),
  })
  .openapi('Quota');

const quotaBodySchema = z
  .strictObject({ ...targetFields, ...quotaSchema.shape })
  .refine(({ user, class: name }) => user !== undefined || name !== undefined, 'must name a user, a class, or both')
  .refine(
    ({ user: _user, class: _class, ...limits }) => Object.values(limits).some((limit) => limit !== undefined),
    'must set at least one limit; to have none, delete the quota',
  );

const deleteQuerySchema = z
  .strictObject(targetFields)
  .refine(({ user, class: name }) => user !== undefined || name !== undefined, 'must name a user, a class, or both');

const listRoute = createRoute({
  method: 'get',
  path: '/v1/quotas',
  summary: 'The quotas, and what is used of each; a user sees those that bind them',
  responses: {
    200: {
      description: 'The quotas',
      content: { 'application/json': { schema: z.object({ quotas: z.array(quotaEntrySchema) }) } },
    },
    ...commonProblems,
  },
});

const setRoute = createRoute({
  method: 'put',
  path: '/v1/quotas',
  summary: 'Set the quota of a user, a class, or a user within a class (operators)',
  request: {
    body: { required: true, content: { 'application/json': { schema: quotaBodySchema.openapi('QuotaToSet') } } },
  },
  responses: {
    200: {
      description: 'The quota, in place of the one that there was',
      content: { 'application/json': { schema: quotaEntrySchema } },
    },
    ...commonProblems,
    403: problem('The API key is a user’s'),
    415: problem('The body is not JSON'),
  },
});

const deleteRoute = createRoute({
  method: 'delete',
  path: '/v1/quotas',
  summary: 'Take a quota away (operators)',
  request: { query: deleteQuerySchema },
  responses: {
    204: { description: 'It is gone' },
    ...commonProblems,
    403: problem('The API key is a user’s'),
    404: problem('There is no such quota'),
  },
});

const toEntryAnswer = ({ target, quota, used }: QuotaEntry) => ({
  ...target,
  ...quota,
  used: used && {
    running: used.running,
    cpus: used.centicpus / 100,
    memory_mb: used.memory_mb,
    gpus: used.gpus,
    pending: used.pending,
  },
});

const binds = ({ target }: QuotaEntry, { user, role }: Principal): boolean =>
  role === 'operator' || target.user === undefined || target.user === '*' || target.user === user;

interface QuotaRoutesOptions {
  quotas: Quotas;
  classes: ResourceClass[];
}

const parseQuota = (body: unknown, classes: ResourceClass[]) => {
  const parsed = quotaBodySchema.safeParse(body);
  if (!parsed.success) {
    throw new AppError('invalid_request', 'The quota is not valid.', { problems: toProblems(parsed.error) });
  }
  const { user, class: className, ...quota } = parsed.data;
  if (className !== undefined && !classes.some(({ name }) => name === className)) {
    const names = classes.map(({ name }) => name).join(', ');
    throw new AppError('invalid_request', `There is no such class. There are: ${names}.`, {
      problems: [{ path: '$.class', message: 'is not a resource class' }],
    });
  }
  return { target: { user, class: className }, quota };
};

export const addQuotaRoutes = (app: OpenAPIHono, { quotas, classes }: QuotaRoutesOptions): void => {
  addRoute(app, listRoute, async (c) => {
    const principal = readPrincipal(c);
    const found = (await quotas.list()).filter((entry) => binds(entry, principal));
    return c.json({ quotas: found.map(toEntryAnswer) }, 200);
  });

  addRoute(app, setRoute, async (c) => {
    requireOperator(c);
    const { target, quota } = parseQuota(await readJsonBody(c), classes);
    await quotas.set(target, quota);
    const found = (await quotas.list()).find(
      (one) => one.target.user === target.user && one.target.class === target.class,
    );
    return c.json(toEntryAnswer(found ?? { target, quota, used: null }), 200);
  });

  addRoute(app, deleteRoute, async (c, target) => {
    requireOperator(c);
    if (!(await quotas.remove(target))) throw new AppError('not_found', 'There is no such quota.');
    return c.body(null, 204) as never;
  });
};
