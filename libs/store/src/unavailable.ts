/** What ioredis says of a connection that is gone; it gives these no code of their own. */
const CONNECTION_MESSAGES = new Set([
  'Connection is closed.',
  'Command timed out',
  "Stream isn't writeable and enableOfflineQueue options is false",
]);

const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
]);

/** Replies of a broker that is there and cannot do it now: starting, full, a replica, or its disk is broken. */
const REFUSALS = /^(LOADING|OOM|MISCONF|READONLY|MASTERDOWN|BUSY|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|UNKILLABLE)\b/;

/** Inside a script, Redis puts its own words before the code. */
const SCRIPT_REFUSALS = /\b(OOM command not allowed|MISCONF |READONLY You can't)/;

/** Whether an error says that the broker is away or cannot take the command now, so that trying again later may help. */
export const isUnavailable = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError' || CONNECTION_MESSAGES.has(error.message)) return true;
  if (error.name === 'ReplyError') return REFUSALS.test(error.message) || SCRIPT_REFUSALS.test(error.message);
  return 'code' in error && SOCKET_CODES.has(String(error.code));
};
