import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'berth-evicting-'));
const socket = join(folder, 'redis.sock');
const redis = spawn('redis-server', [
  ...['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', ''],
  ...['--maxmemory-policy', 'allkeys-lru'],
]);

beforeAll(async () => {
  const probe = new Redis(socket, { maxRetriesPerRequest: null });
  probe.on('error', () => {});
  await probe.ping();
  probe.disconnect();
});
afterAll(async () => {
  redis.kill('SIGKILL');
  await once(redis, 'exit');
  rmSync(folder, { recursive: true });
});

it.each(['apps/api/dist/main.js', 'apps/worker/dist/main.js'])(
  '%s refuses to start on a Redis that evicts, and says what to do',
  async (script) => {
    const env = { ...process.env, REDIS_URL: socket, BERTH_PORT: '0', BERTH_WORKER_PORT: '0', BERTH_FILES: folder };
    const child = spawn(process.execPath, [join(root, script)], { env });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    const [code] = await once(child, 'close');
    expect(code).toBe(1);
    expect(said).toContain('maxmemory-policy allkeys-lru');
    expect(said).toContain('redis-cli config set maxmemory-policy noeviction');
    expect(said).not.toMatch(/\n\s+at /);
    expect(said.trim().split('\n')).toHaveLength(1);
  },
);
