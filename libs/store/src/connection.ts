import { type Command, Redis, type RedisOptions } from 'ioredis';

/**
 * What a connection is for decides how it fails:
 * - `request`: somebody waits for the answer. Fails within a second and a half while the broker is away, so that the API can say
 *   so in time.
 * - `steady`: a worker's or a relay's own work. Waits for the broker to come back, however long it takes.
 * - `blocking`: waits inside Redis (XREAD BLOCK, SUBSCRIBE); shared with nobody.
 */
export type ConnectionUse = 'request' | 'steady' | 'blocking';

/**
 * A connection on which a command has waited for so long is given up and made anew, where the command is sent again: a network that drops
 * everything breaks no connection. Longer than any command of ours or BullMQ's blocks.
 */
const SILENT_SOCKET_MS = 20_000;

const OPTIONS: Record<ConnectionUse, RedisOptions> = {
  request: { enableOfflineQueue: false, maxRetriesPerRequest: 0, connectTimeout: 1_500 },
  steady: { maxRetriesPerRequest: null, socketTimeout: SILENT_SOCKET_MS },
  blocking: { maxRetriesPerRequest: null, socketTimeout: SILENT_SOCKET_MS },
};

/**
 * Gives a command up that is not answered in time, as `commandTimeout` does, but not where it is this process that stood still: timers run before
 * sockets are read, so all that was asked would fail though its answer is there. Told in halves, a standstill takes one of them at the most.
 */
export class RequestRedis extends Redis {
  patience_ms = 1_500;

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    const reply = super.sendCommand(...args);
    this.#limit(args[0]);
    return reply;
  }

  #limit(command: Command): void {
    const half = this.patience_ms / 2;
    const giveUp = () => command.reject(new Error('Command timed out'));
    let timer = setTimeout(() => {
      timer = setTimeout(giveUp, half);
    }, half);
    const clear = () => clearTimeout(timer);
    command.promise.then(clear, clear);
  }
}

const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 2_000);

const toDatabase = (pathname: string): number => {
  if (!/^\/?\d{0,4}$/.test(pathname)) throw new Error('REDIS_URL must end with the number of a database, or with none');
  return Number(pathname.slice(1));
};

/** Accepts `redis://`, `rediss://`, `unix://` and a bare socket path. */
export const parseRedisUrl = (url: string): RedisOptions => {
  const path = url.replace(/^unix:\/\//, '');
  if (path.startsWith('/')) return { path };
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new Error('REDIS_URL must begin with redis://, rediss:// or unix://, or be the path of a socket');
  }
  const { hostname, port, username, password, pathname, protocol } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || 6379),
    db: toDatabase(pathname),
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  };
};

/** The caller listens for `error`; ioredis goes on connecting by itself. */
export const openRedis = (url: string, use: ConnectionUse): Redis => {
  const options = { ...parseRedisUrl(url), ...OPTIONS[use], retryStrategy } as Omit<RedisOptions, 'replyMapping'>;
  return use === 'request' ? new RequestRedis(options) : new Redis(options);
};
