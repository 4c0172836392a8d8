import { AppError, type ErrorCode, type Problem } from '@berth/domain';
import { FilesUnavailable, findRefusal, isUnavailable } from '@berth/store';
import type { Logger } from 'pino';
import type { z } from 'zod';

type Status = 400 | 401 | 403 | 404 | 405 | 409 | 410 | 413 | 415 | 416 | 421 | 422 | 429 | 431 | 500 | 503;

/** The one place where a code becomes a status. */
const STATUSES: Record<ErrorCode, { status: Status; title: string }> = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  unsupported_media_type: { status: 415, title: 'The body is not of a supported type' },
  body_too_large: { status: 413, title: 'The body is too large' },
  headers_too_large: { status: 431, title: 'There are too many headers' },
  not_found: { status: 404, title: 'Not found' },
  gone: { status: 410, title: 'It is kept no longer' },
  range_not_satisfiable: { status: 416, title: 'There is nothing in this range' },
  method_not_allowed: { status: 405, title: 'The method is not allowed here' },
  job_finished: { status: 409, title: 'The job has already finished' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used with another body' },
  no_class_fits: { status: 422, title: 'No resource class holds the job' },
  over_quota: { status: 429, title: 'There are too many pending jobs' },
  unauthorized: { status: 401, title: 'The API key is missing or not valid' },
  forbidden: { status: 403, title: 'The API key is not allowed to do this' },
  content_mismatch: { status: 422, title: 'The body is not what it was said to be' },
  file_in_use: { status: 409, title: 'The file is needed' },
  input_not_found: { status: 422, title: 'A file that it takes in is not there' },
  dependency_not_found: { status: 422, title: 'A job that it is to run after is not there' },
  conflict: { status: 409, title: 'The job is not in a state for this' },
  registry_not_allowed: { status: 422, title: 'Images from this registry are not allowed' },
  host_not_allowed: { status: 421, title: 'The Host header is not allowed' },
  unavailable: { status: 503, title: 'The service is not available' },
  internal: { status: 500, title: 'Internal error' },
};

const RETRY_AFTER_SECONDS = 2;
const MAX_PROBLEMS = 100;

/** `application/problem+json`, RFC 9457. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: Status;
  detail: string;
  code: ErrorCode;
  errors?: Problem[];
  [member: string]: unknown;
}

const toUnavailable = (refusal: string | undefined): AppError => {
  const what = refusal ? `Redis answers ${refusal}: it cannot take this now.` : 'Redis does not answer.';
  return new AppError('unavailable', `${what} Try again in a few seconds.`);
};

/** Anything that is thrown, as the caller's fault, the broker's absence or a bug of ours. */
export const toAppError = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  if (error instanceof FilesUnavailable) {
    return new AppError('unavailable', 'The file store cannot take or give this now. Try again in a few seconds.');
  }
  if (isUnavailable(error)) return toUnavailable(findRefusal(error));
  return new AppError('internal', 'This is a bug in Berth. The log of the API says more.');
};

export const toProblem = (error: AppError): ProblemDocument => {
  const { status, title } = STATUSES[error.code];
  return {
    type: `urn:berth:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    ...(error.problems.length > 0 ? { errors: error.problems.slice(0, MAX_PROBLEMS) } : {}),
    ...error.details,
  };
};

/** Seconds, as the header has them. */
export const toRetryAfter = ({ details }: AppError): string =>
  String(details.retry_after_seconds ?? RETRY_AFTER_SECONDS);

/** What a 401 asks for. */
export const CHALLENGE = { 'www-authenticate': 'Bearer realm="berth"' };

export const toProblemResponse = (error: AppError, headers: Record<string, string> = {}): Response => {
  const problem = toProblem(error);
  const more = problem.status === 503 || problem.status === 429 ? { 'retry-after': toRetryAfter(error) } : {};
  const challenge = problem.status === 401 ? CHALLENGE : {};
  // The rest of the body is still on its way: what follows it on the connection could not be told from it.
  const end = problem.status === 413 ? { connection: 'close' } : {};
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': 'application/problem+json', ...more, ...challenge, ...end, ...headers },
  });
};

/** Logs what is not the caller's fault and maps all of it. */
export const createErrorHandler =
  (log: Logger) =>
  (err: unknown): Response => {
    const error = toAppError(err);
    if (error.code === 'internal') log.error({ err }, 'a request met a bug');
    else if (error.code === 'unavailable' && err !== error)
      log.warn({ err }, 'the broker or the file store does not answer');
    return toProblemResponse(error);
  };

const toStep = (step: PropertyKey): string => {
  if (typeof step === 'number') return `[${step}]`;
  const name = toShortName(step);
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
};

const toPath = (path: readonly PropertyKey[]): string => path.reduce<string>((text, step) => text + toStep(step), '$');

const toShortName = (name: PropertyKey): string => String(name).slice(0, 128);

type Issue = z.core.$ZodIssue;

/** The alternative of a union that the input was meant to be: the first one that it has the type of. */
const findMeant = (branches: Issue[][]): Issue[] | undefined =>
  branches.find((issues) => issues.every((issue) => issue.code !== 'invalid_type' || issue.path.length > 0));

const toIssueProblems = (issue: Issue, parent: readonly PropertyKey[]): Problem[] => {
  const path = [...parent, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: toPath([...path, key]), message: 'is not a known field' }));
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map(({ message }) => ({ path: toPath(path), message: `has a bad name: it ${message}` }));
  }
  const meant = issue.code === 'invalid_union' ? findMeant(issue.errors) : undefined;
  if (meant) return meant.flatMap((inner) => toIssueProblems(inner, path));
  return [{ path: toPath(path), message: issue.message }];
};

/** Every problem that a schema found, without the values that it found them in: they may be secrets. */
export const toProblems = (error: z.ZodError): Problem[] =>
  error.issues.flatMap((issue) => toIssueProblems(issue as Issue, []));
