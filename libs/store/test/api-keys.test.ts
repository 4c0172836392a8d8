import { type ApiKeys, createApiKeys, createKeys } from '@berth/store';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { findKeys, openTestRedis } from './open-test-store.js';

const DAY_MS = 24 * 3600 * 1000;
const ALICE = { user: 'alice', role: 'user', expires_at: null } as const;
let opened = 0;

let redis: Redis;
let prefix: string;
let now: number;
let apiKeys: ApiKeys;

/** The commands that are sent over a connection. */
const watch = (watched: Redis): string[] => {
  const sent: string[] = [];
  const { sendCommand } = watched;
  watched.sendCommand = (command, ...rest) => {
    sent.push(command.name);
    return sendCommand.call(watched, command, ...rest);
  };
  return sent;
};

beforeEach(() => {
  prefix = `test-api-keys-${process.pid}-${opened++}`;
  redis = openTestRedis();
  onTestFinished(async () => {
    for (const key of await findKeys(redis, `${prefix}:*`)) await redis.del(key);
  });
  now = Date.now();
  apiKeys = createApiKeys(redis, createKeys(prefix), () => now);
});

describe('API keys', () => {
  it('are 256 random bits behind a prefix, and kept as a hash only', async () => {
    const made = await Promise.all([1, 2].map(() => apiKeys.create(ALICE)));
    for (const { key, key_id } of made) {
      expect(key).toMatch(/^berth_[a-z0-9]{8}_[A-Za-z0-9_-]{43}$/);
      expect(key.slice(6, 14)).toBe(key_id);
      expect(Buffer.from(key.slice(15), 'base64url')).toHaveLength(32);
    }
    expect(made[0]?.key.slice(15)).not.toBe(made[1]?.key.slice(15));
    const kept = JSON.stringify(await redis.hgetall(`${prefix}:api_keys`));
    for (const { key, key_id } of made) {
      expect(kept).toContain(key_id);
      expect(kept).not.toContain(key.slice(15));
    }
  });

  it('are judged by the whole of them', async () => {
    const { key, key_id } = await apiKeys.create(ALICE);
    const principal = { user: 'alice', role: 'user' };
    expect(await apiKeys.verify(key)).toEqual({ kind: 'valid', key_id, principal });
    const other = await apiKeys.create({ ...ALICE, user: 'bob', role: 'operator' });
    const crossed = `${key.slice(0, 15)}${other.key.slice(15)}`;
    const flipped = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`;
    for (const wrong of [
      crossed,
      flipped,
      key.slice(0, -1),
      `${key}A`,
      ` ${key}`,
      `${key} `,
      key.toUpperCase(),
      key_id,
      '',
    ]) {
      expect(await apiKeys.verify(wrong), wrong).toEqual({ kind: 'invalid' });
    }
  });

  it('are refused once they have expired or been revoked, and a use does not bring one back', async () => {
    const brief = await apiKeys.create({ ...ALICE, expires_at: now + DAY_MS });
    expect(await apiKeys.verify(brief.key)).toMatchObject({ kind: 'valid' });
    now += DAY_MS;
    expect(await apiKeys.verify(brief.key)).toEqual({ kind: 'invalid' });
    const { key, key_id } = await apiKeys.create(ALICE);
    const [, revoked] = await Promise.all([apiKeys.verify(key), apiKeys.revoke(key_id), apiKeys.verify(key)]);
    expect(revoked).toBe(true);
    expect(await apiKeys.verify(key)).toEqual({ kind: 'invalid' });
    expect(await apiKeys.find(key_id)).toEqual({ kind: 'invalid' });
    expect(await apiKeys.revoke(key_id)).toBe(true);
    expect(await apiKeys.revoke('nobodys1')).toBe(false);
    expect(await apiKeys.revoke('made')).toBe(false);
  });

  it('count as made for ever: without any the installation is open, and it never is again', async () => {
    expect(await apiKeys.verify(undefined)).toEqual({ kind: 'no_keys' });
    expect(await apiKeys.verify('berth_nobodys1_')).toEqual({ kind: 'no_keys' });
    const { key_id } = await apiKeys.create(ALICE);
    await apiKeys.revoke(key_id);
    expect(await apiKeys.verify(undefined)).toEqual({ kind: 'invalid' });
  });

  it('cost one lookup, whatever is shown', async () => {
    const { key } = await apiKeys.create(ALICE);
    const expired = await apiKeys.create({ ...ALICE, expires_at: now - 1 });
    const revoked = await apiKeys.create(ALICE);
    await apiKeys.revoke(revoked.key_id);
    const wrong = `${key.slice(0, -5)}AAAAA`;
    for (const shown of [undefined, '', 'x', 'x'.repeat(10_000), wrong, expired.key, revoked.key]) {
      const sent = watch(redis);
      expect(await apiKeys.verify(shown)).toEqual({ kind: 'invalid' });
      expect(sent, String(shown).slice(0, 80)).toEqual(['hmget']);
    }
  });

  it('say when they were last used, to the minute', async () => {
    const { key } = await apiKeys.create(ALICE);
    const first = now;
    await apiKeys.verify(key);
    now += 59_000;
    await apiKeys.verify(key);
    expect(await apiKeys.list()).toMatchObject([
      { user: 'alice', role: 'user', last_used_at: first, revoked_at: null },
    ]);
    now += 1_000;
    await apiKeys.verify(key);
    expect(await apiKeys.list()).toMatchObject([{ last_used_at: first + 60_000 }]);
    expect(JSON.stringify(await apiKeys.list())).not.toContain('sha256');
  });

  it('have one secret for cookies, whoever asks first', async () => {
    const secrets = await Promise.all([1, 2, 3].map(() => apiKeys.readCookieSecret()));
    expect(new Set(secrets).size).toBe(1);
    expect(Buffer.from(secrets[0] ?? '', 'base64url')).toHaveLength(32);
  });
});
