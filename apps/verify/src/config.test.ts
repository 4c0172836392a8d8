import { expect, test } from 'vitest';
import { parseVerifyConfig } from './config.js';

test('flags and environment make the configuration; an unknown flag is refused', () => {
  expect(parseVerifyConfig([], {})).toMatchObject({
    redisUrl: 'redis://127.0.0.1:6379',
    prefix: 'berth',
    engines: [undefined],
    settled: false,
  });
  const args = ['--settled', '--engine', 'unix:///a', '--engine', 'unix:///b', '--ledger', 'l'];
  expect(parseVerifyConfig(args, { BERTH_PREFIX: 'p' })).toMatchObject({
    prefix: 'p',
    engines: ['unix:///a', 'unix:///b'],
    settled: true,
    ledger: 'l',
  });
  expect(parseVerifyConfig(['--help'], {})).toBeUndefined();
  expect(() => parseVerifyConfig(['--setled'], {})).toThrow('--setled');
});
