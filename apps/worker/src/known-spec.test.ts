import { imageCommandSpecSchema, jobSpecSchema } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { requireKnownSpec } from './known-spec.js';

const spec = { ...jobSpecSchema.parse({ command: 'true' }), image: 'busybox:stable' };

describe('requireKnownSpec', () => {
  it('takes every spec that was accepted, also with a field of a later version', () => {
    requireKnownSpec(spec);
    requireKnownSpec({ ...imageCommandSpecSchema.parse({ command: [] }), image: 'a' });
    requireKnownSpec({ ...spec, nice: 19 });
  });

  it.each([null, [], 'text', { version: 99 }])('refuses %j', (strange) => {
    expect(() => requireKnownSpec(strange)).toThrow('does not understand');
  });

  it.each([
    'image',
    'command',
    'env',
    'workdir',
    'cpus',
    'memory_mb',
    'timeout_seconds',
    'stop_grace_seconds',
    'network',
  ])('refuses one without %s, or with another kind of it, and names it', (field) => {
    const { [field]: _, ...without } = spec as Record<string, unknown>;
    expect(() => requireKnownSpec(without)).toThrow(`(${field})`);
    expect(() => requireKnownSpec({ ...spec, [field]: true })).toThrow(`(${field})`);
  });
});
