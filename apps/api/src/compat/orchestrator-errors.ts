import type { ServiceState } from '@berth/domain';
import { FilesUnavailable } from '@berth/store';
import type { Context, Handler } from 'hono';
import type { Logger } from 'pino';
import { CHALLENGE, toAppError, toRetryAfter } from '../errors.js';

type Status = 400 | 401 | 403 | 404 | 405 | 409 | 429 | 500 | 503;

/** Status or error in the job orchestrator's words: always these three keys. */
export interface StatusBody {
  id: number;
  status: ServiceState;
  message: string;
}

export const toStatusBody = (message: string, status: ServiceState = 'Unknown', id = 0): StatusBody => ({
  id,
  status,
  message,
});

/** An answer of the job orchestrator's format that is no success. */
export class OrchestratorError extends Error {
  constructor(
    readonly status: Status,
    message: string,
    readonly more: { headers?: Record<string, string>; job?: { id: number; status: ServiceState } } = {},
  ) {
    super(message);
    this.name = 'OrchestratorError';
  }
}

/** What the functions behind /v1 throw, in the words of this format. */
const toOrchestratorError = (thrown: unknown): OrchestratorError => {
  if (thrown instanceof FilesUnavailable) {
    return new OrchestratorError(503, `Could not save file: ${thrown.message}`, { headers: { 'retry-after': '10' } });
  }
  const error = toAppError(thrown);
  const problem = error.problems[0];
  switch (error.code) {
    case 'unavailable':
      return new OrchestratorError(503, error.message, { headers: { 'retry-after': toRetryAfter(error) } });
    case 'over_quota':
      return new OrchestratorError(429, error.message, { headers: { 'retry-after': toRetryAfter(error) } });
    case 'unauthorized':
      return new OrchestratorError(401, error.message, { headers: CHALLENGE });
    case 'forbidden':
      return new OrchestratorError(403, error.message);
    case 'internal':
      return new OrchestratorError(500, 'Internal server error');
    default:
      return new OrchestratorError(
        400,
        problem ? `${error.message} ${problem.path} ${problem.message}` : error.message,
      );
  }
};

/** Whatever a handler or what stands before it threw. */
export const toOrchestratorResponse = (log: Logger, c: Context, err: unknown): Response => {
  const known = err instanceof OrchestratorError ? err : toOrchestratorError(err);
  if (known.status === 500) log.error({ err }, 'a request met a bug');
  else if (known.status === 503) log.warn({ err }, 'a request could not be answered now');
  const { headers = {}, job } = known.more;
  return c.json(toStatusBody(known.message, job?.status, job?.id), known.status, headers);
};

/** Answers a request of this format, its errors included. */
export const answerAsOrchestrator =
  (log: Logger, handler: (c: Context) => Promise<Response> | Response): Handler =>
  async (c) => {
    try {
      return await handler(c);
    } catch (err) {
      return toOrchestratorResponse(log, c, err);
    }
  };
