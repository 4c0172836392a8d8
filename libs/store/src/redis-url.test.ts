import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './connection.js';
import { toRedisUrl } from './redis-url.js';

describe('toRedisUrl', () => {
  it('is the URL where there is one, and nothing where nothing names a broker', () => {
    expect(toRedisUrl({ REDIS_URL: 'unix:///run/redis', REDIS_HOST: 'other' })).toBe('unix:///run/redis');
    expect(toRedisUrl({ REDIS_URL: '', REDIS_HOST: '' })).toBeUndefined();
    expect(toRedisUrl({ REDIS_PASSWORD: 'secret', REDIS_DB: '3' })).toBeUndefined();
  });

  it.each([
    [{ REDIS_HOST: 'redis' }, { host: 'redis', port: 6379, db: 0 }],
    [{ REDIS_PORT: '6380' }, { host: '127.0.0.1', port: 6380, db: 0 }],
    [
      { REDIS_HOST: '::1', REDIS_PORT: '1' },
      { host: '::1', port: 1, db: 0 },
    ],
    [
      { REDIS_HOST: 'r', REDIS_DB: '3', REDIS_PASSWORD: 'a:b/c@d%' },
      { host: 'r', port: 6379, db: 3, password: 'a:b/c@d%' },
    ],
  ])('%o names %o', (env, options) => {
    expect(parseRedisUrl(toRedisUrl(env) ?? '')).toEqual(options);
  });
});
