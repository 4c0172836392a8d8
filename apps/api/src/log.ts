import { SECRET_PATHS } from '@berth/store';
import { type DestinationStream, type Logger, pino } from 'pino';

/** JSON lines on stdout, or wherever a test wants them. */
export const createLog = (level: string, destination?: DestinationStream): Logger => {
  const options = { level, base: { service: 'api' }, redact: { paths: SECRET_PATHS, remove: true } };
  return destination ? pino(options, destination) : pino(options);
};
