import { parseArgs } from 'node:util';
import { type FilesPlace, parseFilesPlace, toOwnFolder } from '@berth/store';

export interface VerifyConfig {
  redisUrl: string;
  prefix: string;
  filesPlace: FilesPlace;
  /** As in DOCKER_HOST; undefined: where it leads, or the usual socket. */
  engines: (string | undefined)[];
  settled: boolean;
  faultFree: boolean;
  accepted: string | undefined;
  ledger: string | undefined;
  events: string | undefined;
  observed: string | undefined;
  logs: string | undefined;
}

export const HELP = `Checks the invariants of a Berth system against its records, its engines, and what other witnesses wrote down. It only reads.

  npm run verify -- [options]

  --settled          the system should be at rest: every job has ended, nothing is reserved, queued or left
  --engine HOST      an engine, as in DOCKER_HOST; may be given more than once (default: DOCKER_HOST or the usual socket)
  --accepted FILE    ids that were answered 2xx, one a line (I2)
  --events FILE      what the engines said, one JSON object a line (I4)
  --ledger FILE      side effects of jobs, "id epoch" a line (I5)
  --fault-free       no fault was injected: exactly one side effect for each attempt (I5)
  --logs FOLDER      the true output of jobs, a file for each id (I9)
  --observed FILE    states that were shown, "id state" a line, in order (I10)

It reads REDIS_URL, BERTH_PREFIX, BERTH_FILES (or BERTH_DATA_DIR) and DOCKER_HOST. Exit code: 0 all is well, 1 an invariant is violated, 2 it could not be checked.
`;

const FLAGS = {
  help: { type: 'boolean', default: false },
  settled: { type: 'boolean', default: false },
  'fault-free': { type: 'boolean', default: false },
  engine: { type: 'string', multiple: true },
  accepted: { type: 'string' },
  events: { type: 'string' },
  ledger: { type: 'string' },
  logs: { type: 'string' },
  observed: { type: 'string' },
} as const;

/** Undefined: help was asked for. Throws a TypeError that names an unknown flag. */
export const parseVerifyConfig = (args: string[], env: NodeJS.ProcessEnv): VerifyConfig | undefined => {
  const { values } = parseArgs({ args, options: FLAGS });
  if (values.help) return undefined;
  return {
    redisUrl: env.REDIS_URL || 'redis://127.0.0.1:6379',
    prefix: env.BERTH_PREFIX || 'berth',
    filesPlace: env.BERTH_FILES ? parseFilesPlace(env.BERTH_FILES) : toOwnFolder(env.BERTH_DATA_DIR || undefined),
    engines: values.engine ?? [env.DOCKER_HOST || undefined],
    settled: values.settled,
    faultFree: values['fault-free'],
    accepted: values.accepted,
    ledger: values.ledger,
    events: values.events,
    observed: values.observed,
    logs: values.logs,
  };
};

export const readVerifyConfig = (): VerifyConfig | undefined => parseVerifyConfig(process.argv.slice(2), process.env);
