import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseKeyCommand, toKeyConfig } from './config.js';

describe('npm run key', () => {
  it.each([
    [[], { kind: 'help' }],
    [['create', 'alice', '--help'], { kind: 'help' }],
    [['list'], { kind: 'list' }],
    [['create', 'alice'], { kind: 'create', user: 'alice', role: 'user', expires_days: null }],
    [
      ['create', 'bob', '--role', 'operator', '--expires-days', '30'],
      { kind: 'create', user: 'bob', role: 'operator', expires_days: 30 },
    ],
    [['revoke', 'abcd1234'], { kind: 'revoke', key_id: 'abcd1234' }],
    [['revoke', 'berth_abcd1234'], { kind: 'revoke', key_id: 'abcd1234' }],
    [['revoke', `berth_abcd1234_${'x'.repeat(43)}`], { kind: 'revoke', key_id: 'abcd1234' }],
  ])('%j is understood', (args, command) => {
    expect(parseKeyCommand(args)).toEqual(command);
  });

  it.each([
    [['make'], /no `make`/],
    [['create'], /NAME/],
    [['create', 'Alice'], /NAME must be/],
    [['create', 'local'], /reserved/],
    [['create', 'a', 'b'], /does not take/],
    [['create', 'a', '--role', 'admin'], /--role/],
    [['create', 'a', '--expires-days', '0'], /--expires-days/],
    [['create', 'a', '--expires-days', '1.5'], /--expires-days/],
    [['create', 'a', '--expire-days', '1'], /--expire-days/],
    [['list', 'alice'], /does not take/],
    [['list', '--role', 'user'], /does not take/],
    [['revoke'], /PREFIX/],
    [['revoke', 'alice'], /PREFIX/],
  ])('%j is refused', (args, message) => {
    expect(() => parseKeyCommand(args)).toThrow(message);
  });

  it('finds the broker of the environment, then that of npm start', () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-key-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'broker'), '/run/somewhere/redis.sock\n');
    const local = { BERTH_DATA_DIR: folder };
    expect(toKeyConfig(['list'], local)).toMatchObject({ redisUrl: '/run/somewhere/redis.sock', prefix: 'berth' });
    const given = { ...local, REDIS_URL: 'redis://broker', BERTH_PREFIX: 'p' };
    expect(toKeyConfig(['list'], given)).toMatchObject({ redisUrl: 'redis://broker', prefix: 'p' });
    expect(toKeyConfig(['list'], { BERTH_DATA_DIR: join(folder, 'none') }).redisUrl).toBe('redis://127.0.0.1:6379');
  });
});
