/** The headers in which requests carry keys and cookies. */
const HEADERS = ['authorization', '["x-api-key"]', 'cookie'];

const toPath = (place: string, header: string): string =>
  header.startsWith('[') ? place + header : `${place}.${header}`;

/**
 * What must not reach a log, as pino's `redact` wants it. ioredis hangs the whole command on each error, and with it what users
 * sent: their jobs' environments, and output. Nothing logs a request's headers today; where something will, the keys stay out.
 */
export const SECRET_PATHS = [
  'err.command',
  'err.previousErrors',
  ...['headers', 'req.headers', 'request.headers'].flatMap((place) => HEADERS.map((header) => toPath(place, header))),
];
