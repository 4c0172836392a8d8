/** What ioredis says of a connection that is gone; it gives these no code of their own. */
const CONNECTION_MESSAGES = new Set([
  'Connection is closed.',
  'Command timed out',
  'Command aborted due to connection close',
  "Stream isn't writeable and enableOfflineQueue options is false",
]);

const SOCKET_CODES = new Set([
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Replies of a broker that is there and cannot do it now: starting, full, a replica, busy with a script, or its disk is broken. */
const CODES = 'LOADING|OOM|MISCONF|READONLY|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|UNKILLABLE';

/** Redis 6 puts words of its own before the code of a command that a script called. The last one closes the connection. */
const REFUSALS = new RegExp(`^(${CODES})\\b|^ERR Error running script .*-(${CODES})\\b|^ERR max number of clients`);

/** A transaction that was given up because one of its commands was refused names that one's error beside its own. */
const toCauses = (error: Error & { previousErrors?: unknown[] }): unknown[] => [error, ...(error.previousErrors ?? [])];

/** The code, such as `OOM`, with which a broker that is there says that it cannot take the command now. */
export const findRefusal = (error: unknown): string | undefined => {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  for (const cause of toCauses(error)) {
    const found = cause instanceof Error ? REFUSALS.exec(cause.message) : null;
    if (found) return found[1] ?? found[2] ?? 'ERR';
  }
  return undefined;
};

/** Whether an error says that the broker is away or cannot take the command now, so that trying again later may help. */
export const isUnavailable = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError' || CONNECTION_MESSAGES.has(error.message)) return true;
  if (error.name === 'ReplyError') return findRefusal(error) !== undefined;
  return 'code' in error && SOCKET_CODES.has(String(error.code));
};
