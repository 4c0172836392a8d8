import { describe, expect, it } from 'vitest';
import { findBindProblem, isLoopbackHost, PUBLIC_BIND_CONSENT } from './public-bind.js';

describe('findBindProblem', () => {
  it.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1'])('lets %s be', (host) => {
    expect(findBindProblem('HOST', host, undefined)).toBeUndefined();
  });
  it.each(['0.0.0.0', '::', '10.0.0.1', 'example.com', '127.evil.example', ''])(
    'stops at %j without consent',
    (host) => {
      expect(findBindProblem('HOST', host, 'yes')).toMatch(/^HOST is not a loopback address.*BERTH_ALLOW_PUBLIC_BIND=/);
      expect(findBindProblem('HOST', host, PUBLIC_BIND_CONSENT)).toBeUndefined();
    },
  );
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
