import { describe, expect, test } from 'vitest';
import { toDigest, toPullQuery } from './images.js';

describe('toPullQuery', () => {
  test.each([
    ['busybox', 'busybox', 'latest'],
    ['busybox:stable', 'busybox', 'stable'],
    ['registry.example.com:5000/team/tool', 'registry.example.com:5000/team/tool', 'latest'],
    ['registry.example.com:5000/team/tool:1.2', 'registry.example.com:5000/team/tool', '1.2'],
    ['team/tool@sha256:abc', 'team/tool', 'sha256:abc'],
    ['team/tool:1@sha256:abc', 'team/tool', 'sha256:abc'],
  ])('%s is pulled by name and one tag', (image, fromImage, tag) => {
    expect(toPullQuery(image)).toEqual({ fromImage, tag });
  });
});

describe('toDigest', () => {
  const digests = ['other/name@sha256:111', 'localhost:5000/team/tool@sha256:222'];

  test('takes the digest of the repository that was asked for', () => {
    expect(toDigest('localhost:5000/team/tool:1', digests, 'sha256:id')).toBe('sha256:222');
  });
  test('takes another repository of the same image, then the image itself', () => {
    expect(toDigest('tool:1', digests, 'sha256:id')).toBe('sha256:111');
    expect(toDigest('tool:1', [], 'sha256:id')).toBe('sha256:id');
  });
  test('a pinned image has the digest it was pinned to', () => {
    expect(toDigest('tool@sha256:333', digests, 'sha256:id')).toBe('sha256:333');
  });
});
