import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRedis } from '@berth/store';
import type { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import type { ContextOverrides } from '../src/context.js';
import { openPatiently, openTestApi } from './open-test-api.js';

/** A Redis of one test's own, which it may set up as it likes. Its socket is not in its data folder. */
export const startRedis = async (
  settings: string[] = [],
): Promise<{ socket: string; folder: string; redis: Redis }> => {
  const place = mkdtempSync(join(tmpdir(), 'berth-own-'));
  const folder = mkdtempSync(join(place, 'data-'));
  const socket = join(place, 'redis.sock');
  const args = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', '', ...settings];
  const child: ChildProcess = spawn('redis-server', args, { stdio: 'ignore' });
  const redis = openRedis(socket, 'steady');
  redis.on('error', () => {});
  onTestFinished(async () => {
    redis.disconnect();
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(place, { recursive: true });
  });
  await redis.ping();
  return { socket, folder, redis };
};

/** An API on such a Redis. Both end with the test. */
export const openOwn = async (settings: string[] = [], overrides: ContextOverrides = {}) => {
  const own = await startRedis(settings);
  const api = await openPatiently(() => openTestApi('own', { redisUrl: own.socket }, overrides));
  onTestFinished(api.end);
  return { ...own, api };
};
