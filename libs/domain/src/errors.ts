/** A stable, documented code a client can branch on. `errors.ts` of the API alone maps it to HTTP. */
export type ErrorCode =
  | 'invalid_request'
  | 'unsupported_media_type'
  | 'body_too_large'
  | 'headers_too_large'
  | 'not_found'
  | 'gone'
  | 'range_not_satisfiable'
  | 'method_not_allowed'
  | 'job_finished'
  | 'idempotency_key_reused'
  | 'no_class_fits'
  | 'over_quota'
  | 'unauthorized'
  | 'forbidden'
  | 'conflict'
  | 'dependency_not_found'
  | 'input_not_found'
  | 'content_mismatch'
  | 'file_in_use'
  | 'registry_not_allowed'
  | 'host_not_allowed'
  | 'unavailable'
  | 'internal';

/** One thing that is wrong with an input. `path` is a JSON path such as `$.env.PATH`. */
export interface Problem {
  path: string;
  message: string;
}

/** The caller's fault, or a conflict with what is stored: expected, worded for the caller, never a bug. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly problems: Problem[];
  /** Extra members of the problem document, for example the `state` of a finished job. */
  readonly details: Record<string, unknown>;

  constructor(
    code: ErrorCode,
    message: string,
    more: { problems?: Problem[]; details?: Record<string, unknown> } = {},
  ) {
    super(message);
    this.name = 'AppError';
    this.code = code;
    this.problems = more.problems ?? [];
    this.details = more.details ?? {};
  }
}
