/**
 * What must not reach a log, as pino's `redact` wants it. ioredis hangs the whole command on each error, and with it what users
 * sent: their jobs' environments, and output.
 */
export const SECRET_PATHS = ['err.command'];
