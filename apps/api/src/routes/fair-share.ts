import { AppError, LOCAL_USER, toRank, toUse, userNameSchema } from '@berth/domain';
import type { FairShareStore, FairShares } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { requireOperator } from '../auth.js';
import { toProblems } from '../errors.js';
import { readJsonBody } from '../request-body.js';
import { commonProblems, problem } from '../schemas/problem.js';

const shareSchema = z
  .object({
    user: z.string(),
    weight: z.number(),
    use: z.number().openapi({
      description: 'Seconds of the whole cluster that the user has held, each halved with every half-life since.',
    }),
    share: z.number().openapi({ description: 'The part of all use that is theirs, from 0 to 1.' }),
    entitled: z.number().openapi({ description: 'The part that their weight entitles them to, among these users.' }),
    rank: z
      .number()
      .int()
      .openapi({ description: 'Whose job is the next, from 1: who has least use for their weight.' }),
  })
  .openapi('UserShare');

const fairShareSchema = z
  .object({
    half_life_seconds: z.number(),
    cluster: z
      .object({ cpus: z.number(), memory_mb: z.number(), gpus: z.number() })
      .openapi({ description: 'What all machines have. A job is charged for the largest part that it holds of any.' }),
    users: z.array(shareSchema).openapi({ description: 'Who has used something or has a weight, in order of rank.' }),
  })
  .openapi('FairShare');

const MAX_HALF_LIFE_SECONDS = 365 * 24 * 3600;

const userSchema = z.union([z.literal(LOCAL_USER), userNameSchema]);

const changeSchema = z.strictObject({
  half_life_seconds: z
    .number()
    .int()
    .min(60)
    .max(MAX_HALF_LIFE_SECONDS)
    .optional()
    .openapi({ description: 'How soon use counts half. What users have used until now stays what it is.' }),
  weights: z
    .record(userSchema, z.number().min(0.001).max(1_000_000), { error: 'must be users and their weights' })
    .optional()
    .openapi({ description: 'By user; 1 is everyone’s to begin with. The others keep theirs.' }),
});

const answer = (description: string) => ({ description, content: { 'application/json': { schema: fairShareSchema } } });
const operatorsOnly = { ...commonProblems, 403: problem('The API key is a user’s') };

const readRoute = createRoute({
  method: 'get',
  path: '/v1/fair-share',
  summary: 'Who has used how much, and whose turn it is (operators)',
  responses: { 200: answer('The shares'), ...operatorsOnly },
});

const changeRoute = createRoute({
  method: 'put',
  path: '/v1/fair-share',
  summary: 'Change weights, the half-life of use, or both (operators)',
  request: {
    body: { required: true, content: { 'application/json': { schema: changeSchema.openapi('FairShareChange') } } },
  },
  responses: { 200: answer('The shares as they are now'), ...operatorsOnly, 415: problem('The body is not JSON') },
});

const toShares = ({ at, half_life_seconds, users }: FairShares) => {
  const half_life_ms = half_life_seconds * 1000;
  const used = users.map((one) => ({ ...one, use: toUse(one.level, at, half_life_ms) / 1000 }));
  const all = used.reduce((sum, { use }) => sum + use, 0);
  const weights = used.reduce((sum, { weight }) => sum + weight, 0);
  const first = (a: (typeof used)[number], b: (typeof used)[number]): number => {
    const [ours, theirs] = [toRank(a.level, a.weight), toRank(b.level, b.weight)];
    return ours === theirs ? (a.user < b.user ? -1 : 1) : ours - theirs;
  };
  return used.sort(first).map(({ user, weight, use }, i) => ({
    user,
    weight,
    use,
    share: all > 0 ? use / all : 0,
    entitled: weight / weights,
    rank: i + 1,
  }));
};

const toAnswer = (shares: FairShares) => {
  const { centicpus, memory_mb, gpus } = shares.cluster;
  return {
    half_life_seconds: shares.half_life_seconds,
    cluster: { cpus: centicpus / 100, memory_mb, gpus },
    users: toShares(shares),
  };
};

export const addFairShareRoutes = (app: OpenAPIHono, { shares }: { shares: FairShareStore }): void => {
  addRoute(app, readRoute, async (c) => {
    requireOperator(c);
    return c.json(toAnswer(await shares.read()), 200);
  });

  addRoute(app, changeRoute, async (c) => {
    requireOperator(c);
    const parsed = changeSchema.safeParse(await readJsonBody(c));
    if (!parsed.success) {
      throw new AppError('invalid_request', 'The change is not valid.', { problems: toProblems(parsed.error) });
    }
    await shares.change(parsed.data);
    return c.json(toAnswer(await shares.read()), 200);
  });
};
