import { AppError } from '@berth/domain';
import type { LogEntry, LogStore } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { readOwnJob } from '../auth.js';
import type { Chunks, Streams } from '../byte-stream.js';
import { toEndData } from '../end-event.js';
import type { Jobs } from '../jobs.js';
import type { LogQuery, LogReader } from '../log-reader.js';
import { FROM_THE_BEGINNING, findTail, type LogStart } from '../log-tail.js';
import { createLogDecoder, type LogPosition, type LogText, parseLogPosition } from '../log-text.js';
import { readPatiently } from '../patience.js';
import { integerParam, wantsEventStream } from '../request-input.js';
import { jobIdParams } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';
import { EVENT_STREAM, HEARTBEAT, toFrame } from '../sse.js';

const logQuerySchema = z.strictObject({
  stream: z.enum(['stdout', 'stderr', 'both']).default('both'),
  tail: integerParam({ min: 0, max: 100_000 }, { description: 'Only so many of the last lines.' }).optional(),
  follow: z
    .enum(['true', 'false'])
    .optional()
    .openapi({ description: 'Go on until the job ends. Default: true as an event stream, else false.' }),
});

const logsRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/logs',
  summary: 'What the job wrote, as plain bytes or as an event stream',
  request: {
    params: jobIdParams,
    query: logQuerySchema,
    headers: z.object({ 'Last-Event-ID': z.string().optional() }),
  },
  responses: {
    200: {
      description:
        'As text/event-stream: `log` events of {stream, attempt, text}, then `end` of {state, exit_code, cause}.',
      content: { 'text/plain': { schema: z.string() }, 'text/event-stream': { schema: z.string() } },
    },
    ...commonProblems,
    404: problem('There is no such job'),
  },
});

interface LogRoutesOptions {
  jobs: Jobs;
  logs: LogStore;
  reader: LogReader;
  streams: Streams;
}

type Accepts = (entry: LogEntry) => boolean;

/** Our own notes on where output was cut belong to whatever is asked for. */
const toFilter =
  (wanted: 'stdout' | 'stderr' | 'both'): Accepts =>
  (entry) =>
    wanted === 'both' || entry.stream === wanted || entry.stream === 'note';

/** Where a client that was here before goes on. Throws AppError `invalid_request` for an id that is not ours. */
const readPosition = (c: Context): LogPosition | undefined => {
  const id = c.req.header('last-event-id');
  if (id === undefined || id === '') return undefined;
  const position = parseLogPosition(id);
  if (position) return position;
  throw new AppError('invalid_request', 'The Last-Event-ID is not one of this stream. Leave it out to begin again.', {
    problems: [{ path: 'header.Last-Event-ID', message: 'is not an id of this stream' }],
  });
};

export const addLogRoutes = (app: OpenAPIHono, { jobs, logs, reader, streams }: LogRoutesOptions): void => {
  async function* toPlain(job_id: string, query: LogQuery, accepts: Accepts): Chunks {
    for await (const entry of reader.read(job_id, query)) {
      if (entry !== 'idle' && accepts(entry)) yield entry.bytes;
    }
  }

  async function* toEvents(
    job_id: string,
    query: LogQuery,
    more: { accepts: Accepts; held: LogPosition['held'] },
  ): Chunks {
    const decoder = createLogDecoder(more.held);
    let last = query.start.after;
    for await (const entry of reader.read(job_id, query)) {
      if (entry === 'idle') yield HEARTBEAT;
      else if (more.accepts(entry)) {
        yield toLogFrame(decoder.decode(entry));
        last = entry.id;
      }
    }
    if (query.signal.aborted) return;
    for (const text of decoder.flush(last)) yield toLogFrame(text);
    yield toFrame('end', toEndData(await readPatiently(() => jobs.read(job_id), query.signal)));
  }

  addRoute(app, logsRoute, async (c, { stream, tail, follow }) => {
    const { job_id } = await readOwnJob(c, jobs);
    const accepts = toFilter(stream);
    const asEvents = wantsEventStream(c);
    const position = asEvents ? readPosition(c) : undefined;
    const start: LogStart =
      position ?? (tail === undefined ? FROM_THE_BEGINNING : await findTail(logs, job_id, { lines: tail, accepts }));
    if (!asEvents) {
      return streams.answer(c, 'text/plain; charset=utf-8', (signal) =>
        toPlain(job_id, { start, follow: follow === 'true', signal }, accepts),
      );
    }
    return streams.answer(c, EVENT_STREAM, (signal) =>
      toEvents(job_id, { start, follow: follow !== 'false', signal }, { accepts, held: position?.held ?? new Map() }),
    );
  });
};

const toLogFrame = ({ id, stream, attempt, text }: LogText): string => toFrame('log', { stream, attempt, text }, id);
