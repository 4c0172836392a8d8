import { AppError, type ResourceClass, type RetentionBook, retentionSchema, toKeepSeconds } from '@berth/domain';
import type { Store } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { addRoute } from '../add-route.js';
import { requireOperator } from '../auth.js';
import { toProblems } from '../errors.js';
import { readJsonBody, refuseBody } from '../request-body.js';
import type { RemovalCounts } from '../retention/removal-counts.js';
import type { Sweep } from '../retention/sweep.js';
import { commonProblems, problem } from '../schemas/problem.js';

const seconds = z.number().int();
const keepSchema = z.object({
  records_seconds: seconds.optional().openapi({
    description: 'From the end of a job. Where there is an archive, what nobody has set is kept for good.',
  }),
  logs_seconds: seconds.optional().openapi({ description: 'From the end of a job.' }),
  artifacts_seconds: seconds.optional().openapi({ description: 'From the end of a job.' }),
  uploads_seconds: seconds.optional().openapi({ description: 'From the last use; never while a job needs it.' }),
});

const bookSchema = z
  .object({
    default: keepSchema,
    classes: z.record(z.string(), keepSchema),
    users: z.record(z.string(), keepSchema),
  })
  .openapi('Retention');

const sweepSchema = z
  .object({
    dry_run: z.boolean(),
    found: z
      .array(
        z.object({
          kind: z.enum(['records', 'logs', 'artifacts', 'uploads']),
          why: z.enum(['expired', 'orphan', 'partial', 'missing', 'removing']),
          count: z.number().int(),
          bytes: z.number().int(),
          ids: z.array(z.string()).openapi({ description: 'The first 100: jobs, or objects of the file store.' }),
        }),
      )
      .openapi({ description: 'None: nothing is to go.' }),
  })
  .openapi('RetentionSweep');

const operatorsOnly = { ...commonProblems, 403: problem('The API key is a user’s') };
const json = <S extends z.ZodType>(description: string, schema: S) => ({
  description,
  content: { 'application/json': { schema } },
});

const readRoute = createRoute({
  method: 'get',
  path: '/v1/retention',
  summary: 'Who keeps what for how long (operators)',
  responses: {
    200: json(
      'The default is whole, but for records that are archived and kept for good; a user’s word counts before a class’s',
      bookSchema,
    ),
    ...operatorsOnly,
  },
});

const setRoute = createRoute({
  method: 'put',
  path: '/v1/retention',
  summary: 'Say who keeps what for how long, in place of what was said (operators)',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: retentionSchema.clone().openapi('RetentionToSet') } },
    },
  },
  responses: { 200: json('What counts from now on', bookSchema), ...operatorsOnly, 415: problem('It is not JSON') },
});

const previewRoute = createRoute({
  method: 'get',
  path: '/v1/retention/preview',
  summary: 'What would be removed now, as its time is up (operators)',
  responses: { 200: json('Nothing has been removed', sweepSchema), ...operatorsOnly },
});

const scrubRoute = createRoute({
  method: 'post',
  path: '/v1/scrub',
  summary: 'Remove what a crash has left: objects without an entry, entries without an object (operators)',
  request: {
    query: z.strictObject({
      dry_run: z.enum(['true', 'false']).optional().openapi({ description: 'Say it only.' }),
    }),
  },
  responses: { 200: json('What was found, and removed', sweepSchema), ...operatorsOnly },
});

const toAnswer = (dry_run: boolean, counts: RemovalCounts) => ({
  dry_run,
  found: Object.entries(counts).map(([name, count]) => {
    const [kind, why] = name.split('_');
    return { kind, why, ...count } as z.infer<typeof sweepSchema>['found'][number];
  }),
});

interface RetentionRoutesOptions {
  retention: Pick<Store['retention'], 'readBook' | 'setBook'>;
  sweep: Pick<Sweep, 'preview' | 'scrub' | 'keepsRecords'>;
  classes: ResourceClass[];
  retentionSeconds: number;
}

const KINDS = ['records', 'logs', 'artifacts', 'uploads'] as const;

const parseBook = (body: unknown, classes: ResourceClass[]): RetentionBook => {
  const parsed = retentionSchema.safeParse(body);
  const unknown = Object.keys(parsed.data?.classes ?? {}).filter((name) => !classes.some((one) => one.name === name));
  const problems = [
    ...(parsed.error ? toProblems(parsed.error) : []),
    ...unknown.map((name) => ({ path: `$.classes.${name}`, message: 'is not a resource class' })),
  ];
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new AppError('invalid_request', 'The retention is not valid.', { problems });
};

export const addRetentionRoutes = (app: OpenAPIHono, options: RetentionRoutesOptions): void => {
  const { retention, sweep, classes, retentionSeconds } = options;

  const toBookAnswer = (book: RetentionBook) => {
    // Whoever changes what is shown and sends it back sets no end to an archive.
    const shown = KINDS.filter((kind) => kind !== 'records' || !sweep.keepsRecords || book.default?.records_seconds);
    const said = shown.map((kind) => [
      `${kind}_seconds`,
      toKeepSeconds({ default: book.default }, kind, { user: '' }, retentionSeconds),
    ]);
    return { default: Object.fromEntries(said), classes: book.classes ?? {}, users: book.users ?? {} } as never;
  };

  addRoute(app, readRoute, async (c) => {
    requireOperator(c);
    return c.json(toBookAnswer(await retention.readBook()), 200);
  });

  addRoute(app, setRoute, async (c) => {
    requireOperator(c);
    const book = parseBook(await readJsonBody(c), classes);
    await retention.setBook(book);
    return c.json(toBookAnswer(book), 200);
  });

  addRoute(app, previewRoute, async (c) => {
    requireOperator(c);
    return c.json(toAnswer(true, await sweep.preview()), 200);
  });

  addRoute(app, scrubRoute, async (c, { dry_run }) => {
    requireOperator(c);
    await refuseBody(c);
    return c.json(toAnswer(dry_run === 'true', await sweep.scrub(dry_run === 'true')), 200);
  });
};
