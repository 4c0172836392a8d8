import type { Broker } from './broker.js';

/** A Redis in JavaScript inside this process, on a free loopback port. What it holds dies with the process. */
export const openMemoryRedis = async (): Promise<Broker> => {
  const { createRedisServer } = await import('js-redis-server');
  const server = await createRedisServer();
  return {
    url: `redis://127.0.0.1:${server.port}`,
    describe: `js-redis-server on 127.0.0.1:${server.port}, IN MEMORY: JOBS ARE LOST ON RESTART`,
    close: () => server.close(),
    kill: () => {},
  };
};
