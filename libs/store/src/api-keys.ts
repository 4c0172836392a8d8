import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { Principal } from '@berth/domain';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/** What is kept of a key. Times are Unix milliseconds. */
export interface ApiKey extends Principal {
  /** The part of the key by which people tell it from others; no secret. */
  key_id: string;
  created_at: number;
  /** Null: never. */
  expires_at: number | null;
  revoked_at: number | null;
  /** To the minute, of each process that answers requests. */
  last_used_at: number | null;
}

/** `no_keys`: none has ever been made here, revoked and expired ones included. */
export type KeyVerdict = { kind: 'valid'; key_id: string; principal: Principal } | { kind: 'invalid' | 'no_keys' };

export interface NewKey {
  key: string;
  key_id: string;
}

interface StoredKey extends Principal {
  sha256: string;
  created_at: number;
  expires_at: number | null;
}

const ID_LENGTH = 8;
const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const SECRET_BYTES = 32;
const FORM = /^berth_([a-z0-9]{8})_[A-Za-z0-9_-]{43}$/;
const LONGEST_READ = 256;
/** Names no key: what a text that cannot be one is looked up by. */
const NO_ID = '-';
const NO_DIGEST = Buffer.alloc(32);
const USE_NOTED_MS = 60_000;

/**
 * A fast hash is right here: a key is 256 random bits, which nobody finds by trying, however fast they can try. Slow hashes are for
 * passwords, which people make up.
 */
const toDigest = (key: string): Buffer => createHash('sha256').update(key).digest();

const createKeyId = (): string => Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(36)]).join('');

const createKeyText = (key_id: string): string => `berth_${key_id}_${randomBytes(SECRET_BYTES).toString('base64url')}`;

const toTime = (text: string | null | undefined): number | null => (text ? Number(text) : null);

const toApiKey = (key_id: string, fields: Record<string, string>): ApiKey => {
  const { sha256: _, ...stored } = JSON.parse(fields[key_id] ?? '') as StoredKey;
  return {
    key_id,
    ...stored,
    revoked_at: toTime(fields[`${key_id}|revoked_at`]),
    last_used_at: toTime(fields[`${key_id}|used_at`]),
  };
};

/** Makes, shows and ends keys: what `npm run key` does. */
const createKeyring = (redis: Redis, keys: Keys, now: () => number) => ({
  /** Makes a key and returns it: nobody can ask for it again. `expires_at` is Unix milliseconds; null: never. */
  async create({ user, role, expires_at }: Principal & { expires_at: number | null }): Promise<NewKey> {
    for (;;) {
      const key_id = createKeyId();
      const key = createKeyText(key_id);
      const stored: StoredKey = { user, role, created_at: now(), expires_at, sha256: toDigest(key).toString('hex') };
      const write = redis.multi().hincrby(keys.apiKeys, 'made', 1).hsetnx(keys.apiKeys, key_id, JSON.stringify(stored));
      const [, added] = (await write.exec()) ?? [];
      if (added?.[0]) throw added[0];
      if (added?.[1] === 1) return { key, key_id };
    }
  },

  /** All that were ever made, oldest first. */
  async list(): Promise<ApiKey[]> {
    const fields = await redis.hgetall(keys.apiKeys);
    const ids = Object.keys(fields).filter((name) => name.length === ID_LENGTH);
    return ids.map((id) => toApiKey(id, fields)).sort((a, b) => a.created_at - b.created_at);
  },

  /** From the next request on it is of no use. False: there is no such key. Twice is once. */
  async revoke(key_id: string): Promise<boolean> {
    if (key_id.length !== ID_LENGTH || !(await redis.hexists(keys.apiKeys, key_id))) return false;
    await redis.hsetnx(keys.apiKeys, `${key_id}|revoked_at`, now());
    return true;
  },
});

interface Found {
  /** Whether any key was ever made. */
  made: boolean;
  key: StoredKey | undefined;
  revoked: boolean;
}

/** Judges what requests show. */
const createKeyJudge = (redis: Redis, keys: Keys, now: () => number) => {
  const noted = new Map<string, number>();

  /** Not waited for: a broker that is full, or goes away just now, costs the note and not the request. */
  const noteUse = (key_id: string, at: number): void => {
    if (at - (noted.get(key_id) ?? 0) < USE_NOTED_MS) return;
    noted.set(key_id, at);
    redis.hset(keys.apiKeys, `${key_id}|used_at`, at).catch(() => noted.delete(key_id));
  };

  const read = async (key_id: string): Promise<Found> => {
    const [made, stored, revoked_at] = await redis.hmget(keys.apiKeys, 'made', key_id, `${key_id}|revoked_at`);
    const key = stored ? (JSON.parse(stored) as StoredKey) : undefined;
    return { made: Boolean(made), key, revoked: Boolean(revoked_at) };
  };

  const judge = (key_id: string, { made, key, revoked }: Found, proven: boolean): KeyVerdict => {
    const at = now();
    const alive = !revoked && (key?.expires_at ?? Number.POSITIVE_INFINITY) > at;
    if (!made) return { kind: 'no_keys' };
    if (!key || !alive || !proven) return { kind: 'invalid' };
    noteUse(key_id, at);
    return { kind: 'valid', key_id, principal: { user: key.user, role: key.role } };
  };

  return {
    /**
     * Judges what a request shows as its key. One hash, one lookup and one comparison, whatever it is: nothing, nonsense, or a key that
     * is wrong, expired or revoked. Throws where the broker does not answer.
     */
    async verify(shown: string | undefined): Promise<KeyVerdict> {
      const text = (shown ?? '').slice(0, LONGEST_READ);
      const digest = toDigest(text);
      const key_id = FORM.exec(text)?.[1] ?? NO_ID;
      const found = await read(key_id);
      const proven = timingSafeEqual(digest, found.key ? Buffer.from(found.key.sha256, 'hex') : NO_DIGEST);
      return judge(key_id, found, proven);
    },

    /** Judges a key by its id, for whoever has proven before that they hold it. Throws where the broker does not answer. */
    async find(key_id: string): Promise<KeyVerdict> {
      return judge(key_id, await read(key_id), true);
    },
  };
};

/**
 * The keys of an installation. The key itself is shown once and kept nowhere; neither it nor its hash leaves this file. Every change is
 * a write of its own field, so none can undo another: whoever notes a use does not bring a revoked key back.
 */
export const createApiKeys = (redis: Redis, keys: Keys, now: () => number = Date.now) => ({
  ...createKeyring(redis, keys, now),
  ...createKeyJudge(redis, keys, now),

  /** What cookies are signed with: the same for all replicas, made once by whoever asks first. */
  async readCookieSecret(): Promise<string> {
    const made = await redis.get(keys.cookieSecret);
    if (made !== null) return made;
    await redis.set(keys.cookieSecret, randomBytes(SECRET_BYTES).toString('base64url'), 'NX');
    const secret = await redis.get(keys.cookieSecret);
    if (secret === null) throw new Error('the broker forgot what cookies are signed with');
    return secret;
  },
});

export type ApiKeys = ReturnType<typeof createApiKeys>;
