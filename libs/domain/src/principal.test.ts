import { describe, expect, it } from 'vitest';
import { findShownKey, isFromThisMachine, userNameSchema } from './principal.js';

type Headers = Record<string, string>;

const reader = (headers: Headers) => (name: string) => headers[name];

describe('userNameSchema', () => {
  it.each(['a', 'alice', '0x', 'a.b_c-d@example.com', 'a'.repeat(64)])('takes %s', (name) => {
    expect(userNameSchema.safeParse(name).success).toBe(true);
  });
  it.each(['', 'Alice', '.a', '@a', 'a b', 'a/b', 'a:b', 'a|b', 'a*', 'é', 'a\n', 'a'.repeat(65), 'local'])(
    'refuses %j',
    (name) => {
      expect(userNameSchema.safeParse(name).success).toBe(false);
    },
  );
});

describe('findShownKey', () => {
  const rows: [Headers, string | undefined][] = [
    [{}, undefined],
    [{ authorization: 'Bearer k' }, 'k'],
    [{ authorization: 'bearer   k ' }, 'k'],
    [{ authorization: 'Bearer' }, undefined],
    [{ authorization: 'Bearer ' }, undefined],
    [{ authorization: 'Basic a' }, undefined],
    [{ 'x-api-key': 'k' }, 'k'],
    [{ 'x-api-key': '', authorization: 'Bearer b' }, 'b'],
    [{ 'x-api-key': 'k', authorization: 'Bearer b' }, 'k'],
  ];
  it.each(rows)('%j shows %j', (headers, key) => {
    expect(findShownKey(reader(headers))).toBe(key);
  });
});

describe('isFromThisMachine', () => {
  it.each(['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1'])('a request from %s to its own name is', (address) => {
    expect(isFromThisMachine(address, reader({ host: 'localhost:8000' }))).toBe(true);
  });
  const elsewhere: [string | undefined, Headers][] = [
    [undefined, { host: 'localhost' }],
    ['', { host: 'localhost' }],
    ['172.17.0.1', { host: 'localhost' }],
    ['::ffff:10.0.0.1', { host: 'localhost' }],
    ['127.0.0.1', {}],
    ['127.0.0.1', { host: 'evil.example' }],
    ['127.0.0.1', { host: 'localhost', 'x-forwarded-for': '127.0.0.1' }],
    ['127.0.0.1', { host: 'localhost', forwarded: 'for=_a' }],
    ['127.0.0.1', { host: 'localhost', 'x-real-ip': '' }],
  ];
  it.each(elsewhere)('one from %s with %j is not', (address, headers) => {
    expect(isFromThisMachine(address, reader(headers))).toBe(false);
  });
});
