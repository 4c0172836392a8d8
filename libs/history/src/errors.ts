import { AppError } from '@berth/domain';

/** The database was brought up to date by a later version of Berth than this one. */
export class NewerHistoryError extends Error {
  override name = 'NewerHistoryError';
}

/** What pg says of a connection that it has not, or has lost; it gives these no code of their own. */
const LOST =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Cannot use a pool after)/;

/**
 * Classes of SQLSTATE of a server that is there and cannot do it now: no connection, no such database or account, read-only, rolled back, out of
 * something, or being shut down.
 */
const AWAY = new Set(['08', '25', '28', '3D', '40', '53', '55', '57', '58']);
const SQLSTATE = /^[0-9A-Z]{5}$/;
const SYSTEM_CODE = /^E[A-Z_]+$/;
const TOOK_TOO_LONG = '57014';
const RETRY_AFTER_SECONDS = 5;

const DOES_NOT_ANSWER =
  'The archive of finished jobs does not answer. Jobs that ended a short while ago can still be read by their id. Try again in a few seconds.';
const IS_SLOW = 'The archive of finished jobs took too long to answer. Ask for less, or try again in a few seconds.';
const IS_NEWER =
  'The archive of finished jobs belongs to a later version of Berth than the one that answers here. It stays so until this API is upgraded.';

const toCode = (error: Error): string => String((error as Error & { code?: unknown }).code ?? '');

/** Whether an error says that the server is away or cannot do it now. */
export const isAway = (error: unknown): error is Error => {
  if (error instanceof AggregateError) return error.errors.every(isAway);
  if (!(error instanceof Error)) return false;
  if (LOST.test(error.message)) return true;
  const code = toCode(error);
  // Five capitals may be either; no class of SQLSTATE begins with an E.
  return SYSTEM_CODE.test(code) || (SQLSTATE.test(code) && AWAY.has(code.slice(0, 2)));
};

const toText = (error: unknown): string | undefined => {
  if (error instanceof NewerHistoryError) return IS_NEWER;
  if (!isAway(error)) return undefined;
  return toCode(error) === TOOK_TOO_LONG ? IS_SLOW : DOES_NOT_ANSWER;
};

/** As AppError `unavailable`, in words for whoever asked; a bug as it is. */
export const toHistoryError = (error: unknown): unknown => {
  const text = toText(error);
  if (text === undefined) return error;
  return new AppError('unavailable', text, {
    details: { reasons: ['archive'], retry_after_seconds: RETRY_AFTER_SECONDS },
  });
};
