import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine } from './engine.js';
import { type EngineProxy, openEngineProxy } from './engine-proxy.js';
import type { Keeper } from './keeper.js';
import { createProgram, type Program, type StartOptions } from './program.js';
import type { RedisServer } from './redis.js';
import { openSlowLink, type SlowLink } from './slow-link.js';
import { openWorkerSpace, type Space, type WorkerSpace } from './space.js';

/** A worker in a network namespace of its own: the broker by a wire that can be cut, the engine by a proxy on a unix socket. */
export interface Worker extends Program {
  engine: Engine;
  proxy: EngineProxy;
  link: WorkerSpace;
  /** Takes the wire's place after `start({ slow: true })`. */
  slow: SlowLink;
  /** What the present run calls itself; the record names it as the job's owner. */
  id(): string;
  start(options?: StartOptions & { slow?: boolean }): Promise<void>;
}

interface Place {
  folder: string;
  keeper: Keeper;
  ground: Space;
  redis: RedisServer;
  engine: Engine;
  env: Record<string, string>;
}

export const programPath = (script: string): string => fileURLToPath(new URL(`../../${script}`, import.meta.url));

/** Opened, not started. */
export const openWorker = async (i: number, place: Place): Promise<Worker> => {
  const { folder, keeper, redis, engine } = place;
  const socketOf = (host: string) => host.replace('unix://', '');
  const proxy = await openEngineProxy(socketOf(engine.host), join(folder, `engine-of-${i}.sock`));
  const slow = await openSlowLink(socketOf(redis.url), join(folder, `slow-${i}.sock`));
  const space = await openWorkerSpace(keeper, place.ground, i + 1);
  const [command = '', ...args] = [...space.enter, process.execPath, programPath('apps/worker/dist/main.js')];
  const program = createProgram({
    name: `worker-${i}`,
    command,
    args,
    env: { BERTH_RUN_DIR: engine.runDir, ...place.env, DOCKER_HOST: proxy.host, REDIS_URL: redis.wireUrl },
    folder,
    keeper,
    isReady: (output) => output.includes('worker ready'),
  });
  const start = program.start.bind(program);
  let known = { run: 0, id: '' };
  const readId = (): string => {
    if (known.run === program.starts && known.id !== '') return known.id;
    known = { run: program.starts, id: /"worker":"([^"]+)"/.exec(program.output())?.[1] ?? '' };
    return known.id;
  };
  return Object.assign(program, {
    engine,
    proxy,
    link: space,
    slow,
    id: readId,
    start: ({ slow: isSlow = false, env = {}, ...options }: StartOptions & { slow?: boolean } = {}) =>
      start({ ...options, env: { ...(isSlow ? { REDIS_URL: slow.url } : {}), ...env } }),
  });
};
