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
const TOOK_TOO_LONG = '57014';
const RETRY_AFTER_SECONDS = 5;

const toCode = (error: Error): string => String((error as Error & { code?: unknown }).code ?? '');

/** Whether an error says that the server is away or cannot do it now. What is left is a bug of ours. */
export const isAway = (error: unknown): error is Error => {
  if (error instanceof AggregateError) return error.errors.every(isAway);
  if (!(error instanceof Error)) return false;
  if (error instanceof NewerHistoryError || LOST.test(error.message)) return true;
  const code = toCode(error);
  return SQLSTATE.test(code) && !code.startsWith('E') ? AWAY.has(code.slice(0, 2)) : /^E[A-Z_]+$/.test(code);
};

/** As AppError `unavailable`, in words for whoever asked; a bug as it is. */
export const toHistoryError = (error: unknown): unknown => {
  if (!isAway(error)) return error;
  const why = toCode(error) === TOOK_TOO_LONG ? 'took too long to answer' : 'does not answer';
  const advice = why === 'does not answer' ? 'Jobs that ended a short while ago can still be read by their id.' : '';
  return new AppError(
    'unavailable',
    `The archive of finished jobs ${why}. ${advice || 'Ask for less.'} Try again in a few seconds.`,
    {
      details: { reasons: ['archive'], retry_after_seconds: RETRY_AFTER_SECONDS },
    },
  );
};
