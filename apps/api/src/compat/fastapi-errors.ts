import { AppError, type Problem, type RequestDetail } from '@berth/domain';
import type { Context, Handler } from 'hono';
import type { Logger } from 'pino';
import { CHALLENGE, toAppError, toRetryAfter } from '../errors.js';

type Status = 400 | 401 | 403 | 404 | 405 | 413 | 422 | 429 | 500 | 503;

/** An answer of a kept wire format that is no success: `{"detail": …}`, as FastAPI sends it. */
export class KeptFormatError extends Error {
  readonly status: Status;
  readonly detail: string | RequestDetail[];
  readonly headers: Record<string, string>;

  constructor(status: Status, detail: string | RequestDetail[], headers: Record<string, string> = {}) {
    super(typeof detail === 'string' ? detail : 'the request is not valid');
    this.name = 'KeptFormatError';
    this.status = status;
    this.detail = detail;
    this.headers = headers;
  }
}

export const methodNotAllowed = (allow: string): KeptFormatError =>
  new KeptFormatError(405, 'Method Not Allowed', { allow });

export const unprocessable = (details: RequestDetail[]): KeptFormatError => new KeptFormatError(422, details);

/** The field of the format that a field of our spec was made from. */
const WIRE_NAMES: Record<string, string> = {
  image: 'docker_image',
  cpus: 'cpu_cores',
  memory_mb: 'memory_gb',
  timeout_seconds: 'timeout',
};

/** A JSON path of ours (`$.env.PATH`, `$.command[0]`) as FastAPI writes a place. */
const toLoc = (path: string): RequestDetail['loc'] => {
  const [, ...steps] = path.split(/[.[\]]+/).filter((step) => step !== '');
  return ['body', ...steps.map((step) => (/^\d+$/.test(step) ? Number(step) : (WIRE_NAMES[step] ?? step)))];
};

const toDetail = ({ path, message }: Problem): RequestDetail => ({
  type: 'value_error',
  loc: toLoc(path),
  msg: `Value error, ${message}`,
  input: null,
});

/** What the functions behind /v1 throw, in the words of these formats. */
const toKeptFormatError = (error: AppError): KeptFormatError => {
  switch (error.code) {
    case 'unavailable':
      return new KeptFormatError(503, error.message, { 'retry-after': toRetryAfter(error) });
    case 'over_quota':
      return new KeptFormatError(429, error.message, { 'retry-after': toRetryAfter(error) });
    case 'unauthorized':
      return new KeptFormatError(401, error.message, CHALLENGE);
    case 'forbidden':
      return new KeptFormatError(403, error.message);
    case 'body_too_large':
      return new KeptFormatError(413, error.message);
    case 'no_class_fits':
    case 'registry_not_allowed':
      return unprocessable([toDetail({ path: error.problems[0]?.path ?? '$', message: error.message })]);
    case 'invalid_request':
      if (error.problems.length > 0) return unprocessable(error.problems.map(toDetail));
      return unprocessable([toDetail({ path: '$', message: error.message })]);
    default:
      return new KeptFormatError(500, error.message);
  }
};

/** Whatever a handler or what stands before it threw. */
export const toFastApiResponse = (log: Logger, c: Context, err: unknown): Response => {
  const known = err instanceof KeptFormatError ? err : toKeptFormatError(toAppError(err));
  if (known.status === 503 && !(err instanceof AppError)) log.warn({ err }, 'the broker does not answer');
  if (known.status !== 500) return c.json({ detail: known.detail }, known.status, known.headers);
  log.error({ err }, 'a request met a bug');
  return c.json({ error: 'Internal server error', detail: known.detail }, 500);
};

/** Answers a request of a kept format, its errors included: none of them is `application/problem+json`. */
export const answerAsFastApi =
  (log: Logger, handler: (c: Context) => Promise<Response> | Response): Handler =>
  async (c) => {
    try {
      return await handler(c);
    } catch (err) {
      return toFastApiResponse(log, c, err);
    }
  };
