import { createStore, openRedis } from '@berth/store';
import { afterAll, expect, it } from 'vitest';
import { createErrorHandler } from '../src/errors.js';
import { createLog } from '../src/log.js';

const prefix = `test-api-secrets-${process.pid}`;
const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
const store = createStore(redis, prefix);

afterAll(async () => {
  await redis.del(store.keys.jobs);
  redis.disconnect();
});

it('an error of the broker is logged without the command, which holds what the user sent', async () => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  await redis.set(store.keys.jobs, 'no index');
  const sizes = { cpus: 1, memory_mb: 6, timeout_seconds: 1 };
  const spec = { env: { TOKEN: 'hunter2' }, priority: 50, labels: {}, ...sizes } as never;
  const job = { spec, class: 'small', ask: { centicpus: 1, memory_mb: 6, gpus: 0 } };
  const error = await store.jobs.accept(job).catch((err: unknown) => err);
  expect(JSON.stringify(error)).toContain('hunter2');
  expect(createErrorHandler(log)(error).status).toBe(500);
  expect(lines.join('')).toContain('WRONGTYPE');
  expect(lines.join('')).not.toContain('hunter2');
});

it('a request that is logged is logged without its key and its cookie', () => {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  const headers = { authorization: 'Bearer hunter2', 'x-api-key': 'hunter2', cookie: 'a=hunter2', host: 'here' };
  log.info({ headers, req: { headers }, request: { headers } }, 'asked');
  expect(lines.join('').match(/here/g)).toHaveLength(3);
  expect(lines.join('')).not.toContain('hunter2');
});
