import { AppError, EVENT_TYPES, isTerminal } from '@berth/domain';
import type { JobEventEntry, JobStore } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { readOwnJob } from '../auth.js';
import type { Chunks, Streams } from '../byte-stream.js';
import { toEndData } from '../end-event.js';
import type { Jobs } from '../jobs.js';
import { readPatiently } from '../patience.js';
import { wantsEventStream } from '../request-input.js';
import { jobIdParams, jobStateSchema } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';
import { EVENT_STREAM, HEARTBEAT, HEARTBEAT_MS, toFrame } from '../sse.js';
import type { Waiters } from '../waiters.js';
import { createWake } from '../wake.js';

const eventSchema = z
  .object({
    seq: z.number().int().openapi({ description: '1 for the first event of the job, then without gaps.' }),
    type: z.enum(EVENT_TYPES),
    at: z.string().openapi({ format: 'date-time' }),
    state: jobStateSchema,
    meaning: z.string(),
    data: z.record(z.string(), z.unknown()),
  })
  .openapi('JobEvent');

const eventsRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/events',
  summary: "The job's history, as a list or as an event stream that ends with the job",
  request: { params: jobIdParams, headers: z.object({ 'Last-Event-ID': z.string().optional() }) },
  responses: {
    200: {
      description:
        'As text/event-stream: `event` events like those of the list, then `end` of {state, exit_code, cause}.',
      content: {
        'application/json': { schema: z.object({ events: z.array(eventSchema) }) },
        'text/event-stream': { schema: z.string() },
      },
    },
    ...commonProblems,
    404: problem('There is no such job'),
  },
});

const toEventAnswer = ({ seq, type, at, state, meaning, data }: JobEventEntry) => ({
  seq,
  type,
  at: new Date(at).toISOString(),
  state,
  meaning,
  data: data as Record<string, never>,
});

const readLastSeq = (c: Context): number => {
  const id = c.req.header('last-event-id');
  if (id === undefined || id === '') return 0;
  if (/^\d{1,9}$/.test(id)) return Number(id);
  throw new AppError('invalid_request', 'The Last-Event-ID is not one of this stream. Leave it out to begin again.', {
    problems: [{ path: 'header.Last-Event-ID', message: 'is not an id of this stream' }],
  });
};

interface EventRoutesOptions {
  jobs: Jobs;
  store: JobStore;
  waiters: Waiters;
  streams: Streams;
}

export const addEventRoutes = (app: OpenAPIHono, { jobs, store, waiters, streams }: EventRoutesOptions): void => {
  /** Listens before it reads, so that an event between the two rings; ends after the job's last event. */
  async function* follow(job_id: string, after: number, signal: AbortSignal): Chunks {
    const wake = createWake();
    const leave = waiters.listen(job_id, wake.ring);
    try {
      for (let last = after; !signal.aborted; ) {
        const job = await readPatiently(() => jobs.read(job_id), signal);
        const seen = last;
        for (const event of await readPatiently(() => store.readHistory(job_id, seen), signal)) {
          yield toFrame('event', toEventAnswer(event), String(event.seq));
          last = event.seq;
        }
        if (isTerminal(job.state)) return yield toFrame('end', toEndData(job));
        if (!(await wake.wait(HEARTBEAT_MS, signal))) yield HEARTBEAT;
      }
    } finally {
      leave();
    }
  }

  addRoute(app, eventsRoute, async (c) => {
    const { job_id } = await readOwnJob(c, jobs);
    if (wantsEventStream(c)) {
      const after = readLastSeq(c);
      return streams.answer(c, EVENT_STREAM, (signal) => follow(job_id, after, signal));
    }
    const events = await store.readHistory(job_id);
    return c.json({ events: events.map(toEventAnswer) }, 200);
  });
};
