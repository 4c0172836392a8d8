import { describe, expect, it } from 'vitest';
import { parseConfig } from './config.js';

const parse = (env: NodeJS.ProcessEnv) => parseConfig(env, '/repo');

describe('parseConfig', () => {
  it('needs nothing', () => {
    expect(parse({})).toMatchObject({
      dataDir: '/repo/.berth',
      redisUrl: undefined,
      dockerHost: undefined,
      mayInstall: true,
      host: '127.0.0.1',
      port: 8000,
      workerHost: '127.0.0.1',
      workerPort: 8080,
      defaultImage: 'busybox:stable',
    });
  });

  it('takes what is set, and an empty value for unset', () => {
    const config = parse({ BERTH_PORT: '9000', BERTH_DATA_DIR: '/data', BERTH_NO_INSTALL: '1', REDIS_URL: ' ' });
    expect(config).toMatchObject({ port: 9000, dataDir: '/data', mayInstall: false, redisUrl: undefined });
  });

  it('names every bad value at once', () => {
    const bad = { BERTH_PORT: '0', BERTH_WORKER_PORT: 'http', BERTH_NO_INSTALL: 'maybe' };
    expect(() => parse(bad)).toThrow(/BERTH_PORT is "0".*\n.*BERTH_WORKER_PORT is "http".*\n|BERTH_NO_INSTALL/);
    expect(() => parse(bad)).toThrow(/BERTH_NO_INSTALL is "maybe": set it to 1 or 0/);
  });

  it('refuses one port for two', () => {
    expect(() => parse({ BERTH_PORT: '8080' })).toThrow(/both 8080/);
  });

  it('looks for programs where daemons live, even if the PATH of the user does not', () => {
    expect(parse({ PATH: '/opt/bin' }).path).toEqual(expect.arrayContaining(['/opt/bin', '/usr/sbin']));
  });
});
