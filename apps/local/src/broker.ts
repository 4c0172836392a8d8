import type Docker from 'dockerode';
import { findProgram } from './find-program.js';
import { LocalError, reasonOf } from './local-error.js';
import { openMemoryRedis } from './memory-redis.js';
import { brokerAnswers, readEvictionPolicy, toPrintable } from './redis-client.js';
import { openRedisContainer } from './redis-container.js';
import { openRedisProcess } from './redis-process.js';

export interface Broker {
  /** `redis://…`, `rediss://…`, `unix://…` or the path of a socket. */
  url: string;
  /** For a person. */
  describe: string;
  /** Stops it where we started it. */
  close(): Promise<void>;
  /** The same, at once. */
  kill(): void;
}

export interface BrokerOptions {
  redisUrl: string | undefined;
  dataDir: string;
  path: readonly string[];
  env: NodeJS.ProcessEnv;
  /** undefined: no engine to run a container on. */
  docker: Docker | undefined;
  say: (line: string) => void;
}

export type BrokerSource = () => Promise<Broker | undefined>;

/** The first source that has one. A source that throws ends the search: its jobs may lie where the next would not look. */
export const openFirst = async (sources: readonly BrokerSource[]): Promise<Broker> => {
  for (const open of sources) {
    const broker = await open();
    if (broker) return broker;
  }
  throw new LocalError('There is no broker. Set REDIS_URL, or install redis-server.');
};

const findServer = (path: readonly string[]): string | undefined =>
  findProgram(['valkey-server', 'redis-server'], path);

/** False where a broker can be had whatever the engine does. */
export const brokerNeedsEngine = ({ redisUrl, path }: Pick<BrokerOptions, 'redisUrl' | 'path'>): boolean =>
  redisUrl === undefined && findServer(path) === undefined;

/** REDIS_URL, then a server on the PATH, then a container, then memory. Says which. */
export const openBroker = async (options: BrokerOptions): Promise<Broker> => {
  const { redisUrl, path, docker, say } = options;
  const program = findServer(path);
  const broker = await openFirst([
    async () => (redisUrl ? openGiven(redisUrl) : undefined),
    async () => (program ? openRedisProcess(program, options) : undefined),
    async () => (docker ? openContainerIfAble(docker, options) : undefined),
    openMemoryRedis,
  ]);
  say(`Broker: ${broker.describe}`);
  return broker;
};

const openGiven = async (url: string): Promise<Broker> => {
  if (!(await brokerAnswers(url)))
    throw new LocalError(`REDIS_URL is ${toPrintable(url)}, and no Redis answers there. Start it, or unset REDIS_URL.`);
  const policy = await readEvictionPolicy(url);
  if (policy && policy !== 'noeviction')
    throw new LocalError(
      `The Redis at ${toPrintable(url)} throws keys away when it is full (maxmemory-policy ${policy}), and jobs would vanish without a word.\n` +
        'Type `redis-cli config set maxmemory-policy noeviction` there, and put `maxmemory-policy noeviction` into its configuration file; or unset REDIS_URL.',
    );
  return { url, describe: `REDIS_URL, ${toPrintable(url)}`, close: async () => {}, kill: () => {} };
};

const openContainerIfAble = async (docker: Docker, options: BrokerOptions): Promise<Broker | undefined> => {
  try {
    return await openRedisContainer(docker, options);
  } catch (error) {
    options.say(`A redis:7 container did not start (${reasonOf(error)}).`);
    return undefined;
  }
};
