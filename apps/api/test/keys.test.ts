import { createStore, openRedis } from '@berth/store';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseKeyCommand } from '../src/keys/config.js';
import { runKeyCommand } from '../src/keys/run-command.js';

const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
let count = 0;
let store: ReturnType<typeof createStore>;
beforeEach(() => {
  store = createStore(redis, `test-keys-${process.pid}-${count++}`);
});
afterEach(() => redis.del(store.keys.apiKeys));

const run = (...args: string[]) => runKeyCommand(store.apiKeys, parseKeyCommand(args), Date.now());

it('makes a key that works, and says what follows from the first', async () => {
  const first = await run('create', 'alice');
  expect(first.code).toBe(0);
  expect(first.lines).toHaveLength(1);
  expect(await store.apiKeys.verify(first.lines[0])).toMatchObject({ principal: { user: 'alice', role: 'user' } });
  expect(first.notes.join('\n')).toMatch(/every request needs a key.*operator/s);
  const second = await run('create', 'root', '--role', 'operator', '--expires-days', '1');
  expect(second.notes).toHaveLength(1);
  const [, root] = await store.apiKeys.list();
  expect((root?.expires_at ?? 0) - (root?.created_at ?? 0)).toBeGreaterThan(24 * 3600 * 1000 - 1_000);
});

it('lists keys without what would open anything, and revokes them', async () => {
  expect(await run('list')).toMatchObject({ code: 0, lines: [], notes: ['No key has been made.'] });
  const [key = ''] = (await run('create', 'alice')).lines;
  await store.apiKeys.create({ user: 'old', role: 'operator', expires_at: Date.now() - 1 });
  const listed = await run('list');
  expect(listed.lines).toHaveLength(3);
  expect(listed.lines[1]).toMatch(new RegExp(`^${key.slice(6, 14)}  alice  user +valid .* never +never$`));
  expect(listed.lines.join('\n')).toMatch(/old +operator +expired/);
  expect(JSON.stringify(listed)).not.toContain(key.slice(15));
  expect(await run('revoke', key.slice(6, 14))).toMatchObject({ code: 0 });
  expect(await store.apiKeys.verify(key)).toEqual({ kind: 'invalid' });
  expect((await run('list')).lines[1]).toContain('revoked');
  expect(await run('revoke', 'nobodys1')).toMatchObject({ code: 1 });
});
