import { expect, it } from 'vitest';
import { toReaperConfig } from './config.js';

it('needs nothing', () => {
  const nothing = { runDir: undefined, logLevel: 'info', dockerHost: undefined };
  expect(toReaperConfig({})).toEqual(nothing);
  expect(toReaperConfig({ BERTH_RUN_DIR: '', DOCKER_HOST: '' })).toEqual(nothing);
  expect(toReaperConfig({ BERTH_RUN_DIR: '/run/berth', REDIS_URL: 'x' })).toEqual({ ...nothing, runDir: '/run/berth' });
});

it('names what is wrong', () => {
  expect(() => toReaperConfig({ BERTH_LOG_LEVEL: 'loud' })).toThrow('The configuration is wrong: BERTH_LOG_LEVEL');
});
