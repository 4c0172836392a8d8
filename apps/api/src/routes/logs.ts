import { AppError } from '@berth/domain';
import type { LogEntry, LogStore, LogStream } from '@berth/store';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { addRoute } from '../add-route.js';
import { readOwnJob } from '../auth.js';
import type { Chunks, Streams } from '../byte-stream.js';
import { toEndData } from '../end-event.js';
import type { Jobs } from '../jobs.js';
import { createLogFrames, createStamper } from '../log-frames.js';
import { logQuerySchema, toStreams } from '../log-query.js';
import type { LogItem, LogQuery, LogReader } from '../log-reader.js';
import { findStart, type LogStart } from '../log-start.js';
import { type LogPosition, parseLogPosition } from '../log-text.js';
import { readPatiently } from '../patience.js';
import { wantsEventStream } from '../request-input.js';
import { jobIdParams } from '../schemas/job.js';
import { commonProblems, problem } from '../schemas/problem.js';
import { EVENT_STREAM, HEARTBEAT, toFrame } from '../sse.js';

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
        'As text/event-stream: `log` events of {stream, attempt, text}, then `end` of {state, exit_code, cause}. A client that ' +
        'takes nothing for long while much is written gets `gap` of {from} instead: it goes on with that Last-Event-ID.',
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

interface Wanted {
  streams: readonly LogStream[];
  timestamps: boolean;
}

const KEEP_ALL = (entry: LogEntry): LogEntry => entry;

/** What is asked for of a piece, or nothing. */
const createSieve = ({ start: { trim = KEEP_ALL } }: LogQuery, { streams }: Wanted) => {
  return (entry: LogEntry): LogEntry | undefined => (streams.includes(entry.stream) ? trim(entry) : undefined);
};

async function* toPlain(items: AsyncIterable<LogItem>, query: LogQuery, wanted: Wanted): Chunks {
  const sieve = createSieve(query, wanted);
  const stamp = wanted.timestamps ? createStamper() : ({ bytes }: LogEntry) => bytes;
  for await (const item of items) {
    const entry = typeof item === 'string' ? undefined : sieve(item);
    if (entry) yield stamp(entry);
  }
}

export const addLogRoutes = (app: OpenAPIHono, { jobs, logs, reader, streams }: LogRoutesOptions): void => {
  const openFrames = createLogFrames();

  async function* toEvents(job_id: string, query: LogQuery, wanted: Wanted, held: LogPosition['held']): Chunks {
    const { start, signal } = query;
    const sieve = createSieve(query, wanted);
    const frames = openFrames({ held, timestamps: wanted.timestamps });
    for await (const item of reader.read(job_id, query)) {
      if (item === 'gap') return yield toFrame('gap', { from: frames.last_id ?? start.after });
      const frame = item === 'idle' ? HEARTBEAT : frames.encode(sieve(item));
      if (frame !== undefined) yield frame;
    }
    if (signal.aborted) return;
    yield* frames.flush(start.after);
    yield toFrame('end', toEndData(await readPatiently(() => jobs.read(job_id), signal)));
  }

  addRoute(app, logsRoute, async (c, { stream, timestamps, follow, ...place }) => {
    const { job_id } = await readOwnJob(c, jobs);
    const wanted: Wanted = { streams: toStreams(stream), timestamps: timestamps === 'true' };
    const asEvents = wantsEventStream(c);
    const position = asEvents ? readPosition(c) : undefined;
    const start: LogStart = position ?? (await findStart(logs, job_id, place, wanted.streams));
    if (!asEvents) {
      return streams.answer(c, 'text/plain; charset=utf-8', (signal) => {
        const query = { start, follow: follow === 'true', signal };
        return toPlain(reader.read(job_id, query), query, wanted);
      });
    }
    return streams.answer(c, EVENT_STREAM, (signal) => {
      const query = { start, follow: follow !== 'false', resumable: true, signal };
      return toEvents(job_id, query, wanted, position?.held ?? new Map());
    });
  });
};
