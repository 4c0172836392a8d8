import {
  AppError,
  EMPTY_COMMAND,
  findJsonError,
  isBlank,
  isLoopbackHost,
  isTooDeep,
  MAX_JSON_DEPTH,
  parseCommandRequest,
  type RequestDetail,
  toInvalidJson,
  toNotAnObject,
} from '@berth/domain';
import { isUnavailable } from '@berth/store';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import type { Logger } from 'pino';
import type { Execute } from './execute.js';
import { authenticate, type RunnerAuthOptions, type RunnerEnv } from './runner-auth.js';

const MAX_BODY_BYTES = 256 * 1024;
/** A body that is too large is read to its end all the same, up to here, so that its sender gets to see the answer. */
const MAX_READ_BYTES = 16 * 1024 * 1024;
const JSON_TYPE = /^application\/([a-z0-9.+-]+\+)?json[ \t]*(;|$)/i;

const MAX_HEADERS = 100;
const TOO_DEEP: RequestDetail = {
  type: 'value_error',
  loc: ['body'],
  msg: `Value error, The body is nested more than ${MAX_JSON_DEPTH} levels deep.`,
  input: null,
};

export interface RunnerAppOptions extends RunnerAuthOptions {
  execute: Execute;
  /** Why nothing is begun now, and what to do; undefined: it is. */
  findRefusal: () => string | undefined;
  renderMetrics: () => Promise<string>;
  metricsType: string;
  loopbackOnly: boolean;
  /** Other formats on the same port. */
  beside?: Hono<RunnerEnv>;
  log: Logger;
}

const refuse = (c: Context, detail: RequestDetail[]): Response => c.json({ detail }, 422);

/** A body that does not say that it is JSON is refused: a web page could otherwise run commands through its reader's browser. */
const parseBody = (text: string, type: string | undefined): { body?: unknown; details?: RequestDetail[] } => {
  if (!JSON_TYPE.test(type ?? '')) return { details: [toNotAnObject(text)] };
  if (isTooDeep(Buffer.from(text))) return { details: [TOO_DEEP] };
  try {
    return { body: text === '' ? null : JSON.parse(text) };
  } catch (error) {
    return { details: [toInvalidJson(findJsonError(error))] };
  }
};

/** Undefined: it is too large. */
const readText = async (body: ReadableStream<Uint8Array> | null): Promise<string | undefined> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    if (size > MAX_READ_BYTES) break;
  }
  return size > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString('utf8');
};

const handleExecute =
  ({ execute, findRefusal }: Pick<RunnerAppOptions, 'execute' | 'findRefusal'>) =>
  async (c: Context<RunnerEnv>): Promise<Response> => {
    const refusal = findRefusal();
    if (refusal !== undefined) return c.json({ detail: refusal }, 503, { 'retry-after': '10' });
    const text = await readText(c.req.raw.body);
    if (text === undefined) return c.json({ detail: `The body is larger than ${MAX_BODY_BYTES / 1024} KiB` }, 413);
    const { body, details: unreadable } = parseBody(text, c.req.header('content-type'));
    if (unreadable) return refuse(c, unreadable);
    const { value: request, details } = parseCommandRequest(body);
    if (details) return refuse(c, details);
    if (isBlank(request.command)) return c.json({ detail: EMPTY_COMMAND }, 400);
    const { value: execution, details: refused } = await execute(request, c.var.principal.user, c.req.raw.signal);
    if (refused) return refuse(c, refused);
    return execution ? c.json(execution, 200) : c.json({ detail: 'The job is gone' }, 503);
  };

/** What Node lets through and nobody honest sends. */
const refuseMisuse: MiddlewareHandler<RunnerEnv> = async (c, next) => {
  const { rawHeaders, httpVersionMajor, url } = c.env.incoming;
  if (rawHeaders.length > 2 * MAX_HEADERS) return c.json({ detail: `Send at most ${MAX_HEADERS} headers` }, 431);
  if (httpVersionMajor < 1) return c.json({ detail: 'The request names no HTTP version' }, 400);
  if (!url?.startsWith('/')) return c.json({ detail: 'The request target must be a path' }, 400);
  return next();
};

/** The runner's wire format on the worker's own port, errors as FastAPI sends them. */
export const createRunnerApp = (options: RunnerAppOptions): Hono<RunnerEnv> => {
  const { renderMetrics, metricsType, loopbackOnly, beside, log } = options;
  const app = new Hono<RunnerEnv>();
  app.use(refuseMisuse);
  app.use(async (c, next) => {
    if (loopbackOnly && !isLoopbackHost(c.req.header('host') ?? '')) {
      return c.json({ detail: 'This port listens on loopback only: call it as localhost or 127.0.0.1' }, 421);
    }
    return next();
  });
  app.get('/health', (c) => c.json({ status: 'healthy', service: 'runner' }));
  app.get('/metrics', async (c) => c.text(await renderMetrics(), 200, { 'content-type': metricsType }));
  app.use('/execute', authenticate(options));
  app.post('/execute', handleExecute(options));
  for (const [path, allow] of [
    ['/health', 'GET'],
    ['/metrics', 'GET'],
    ['/execute', 'POST'],
  ] as const) {
    app.all(path, (c) => c.json({ detail: 'Method Not Allowed' }, 405, { allow }));
  }
  if (beside) app.route('/', beside);
  app.notFound((c) => c.json({ detail: 'Not Found' }, 404));
  app.onError((err, c) => {
    if (err instanceof AppError && err.code === 'over_quota') {
      return c.json({ detail: err.message }, 429, { 'retry-after': String(err.details.retry_after_seconds) });
    }
    if (isUnavailable(err)) {
      return c.json({ detail: 'Redis does not answer. Try again in a few seconds.' }, 503, { 'retry-after': '2' });
    }
    log.error({ err }, 'a request met a bug');
    return c.json({ error: 'Internal server error', detail: 'The log of the worker says more' }, 500);
  });
  return app;
};
