import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { openRedis, RequestRedis } from '@berth/store';
import type { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';

/** Where the tests run on another kind of broker there is none that they could stop. */
export const program = ['redis-server', 'valkey-server'].find((name) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name))),
);

export interface OwnBroker {
  url: string;
  /** Where it keeps its data. The socket is not in it. */
  folder: string;
  readonly broker: ChildProcess;
  start: () => Promise<void>;
}

/** A broker of one test's own, which it may stop, kill and set up as it likes. It and its files go when the test ends. */
export const startBroker = async (settings: string[] = ['--save', '']): Promise<OwnBroker> => {
  const place = mkdtempSync(join(tmpdir(), 'berth-own-'));
  const folder = mkdtempSync(join(place, 'data-'));
  const socket = join(place, 'redis.sock');
  const state: { broker?: ChildProcess } = {};
  const start = async () => {
    const broker = spawn(program ?? '', ['--port', '0', '--unixsocket', socket, '--dir', folder, ...settings]);
    state.broker = broker;
    for await (const chunk of broker.stdout) if (String(chunk).includes('ready to accept')) break;
  };
  onTestFinished(async () => {
    state.broker?.kill('SIGKILL');
    if (state.broker?.exitCode === null && state.broker.signalCode === null) await once(state.broker, 'exit');
    rmSync(place, { recursive: true });
  });
  await start();
  return {
    url: socket,
    folder,
    get broker() {
      return state.broker as ChildProcess;
    },
    start,
  };
};

/** From now on its answers may be late: this process may stand still, while its broker is there. */
export const bePatient = (redis: Redis): void => {
  if (redis instanceof RequestRedis) redis.patience_ms = 20_000;
};

/** A connection that is ready and closes with the test. */
export const connect = async (url: string, use: 'request' | 'steady' = 'steady'): Promise<Redis> => {
  const redis = openRedis(url, use);
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  if (redis.status !== 'ready') await once(redis, 'ready');
  return redis;
};
