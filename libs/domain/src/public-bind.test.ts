import { describe, expect, it } from 'vitest';
import { findConsentProblem, isLoopbackAddress, isLoopbackHost, PUBLIC_BIND_CONSENT } from './public-bind.js';

describe('findConsentProblem', () => {
  it('takes the very words, or none', () => {
    expect(findConsentProblem(undefined)).toBeUndefined();
    expect(findConsentProblem(PUBLIC_BIND_CONSENT)).toBeUndefined();
    for (const text of ['yes', 'true', '1', '']) expect(findConsentProblem(text)).toContain(PUBLIC_BIND_CONSENT);
  });
});

describe('isLoopbackAddress', () => {
  it.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1'])('takes %s', (host) => {
    expect(isLoopbackAddress(host)).toBe(true);
  });
  it.each(['0.0.0.0', '::', '10.0.0.1', 'example.com', '127.evil.example', ''])('refuses %j', (host) => {
    expect(isLoopbackAddress(host)).toBe(false);
  });
});

describe('isLoopbackHost', () => {
  it.each(['localhost', 'a.localhost:8080', '127.0.0.1:1', '[::1]:80'])('takes %s', (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });
  it.each(['', 'evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1'])(
    'refuses %j',
    (host) => {
      expect(isLoopbackHost(host)).toBe(false);
    },
  );
});
