import { describe, expect, it } from 'vitest';
import { isWorkloadBody } from './router.js';
import { toNaiveTime, toZonedTime } from './wire-time.js';

describe('isWorkloadBody', () => {
  it.each([
    [{ docker_image: 'a', command: ['b'], cpu_cores: 1, memory_gb: 1 }, true],
    [{ docker_image: 'a', command: 'b' }, true],
    [{ command: ['b'] }, true],
    [{ command: 'b', timeout: 3 }, false],
    [{ command: 5 }, false],
    [{}, false],
    [[{ docker_image: 'a' }], false],
    ['docker_image', false],
    [null, false],
    [undefined, false],
  ])('%j: %s', (body, expected) => {
    expect(isWorkloadBody(body)).toBe(expected);
  });
});

describe('times', () => {
  it('have six digits always', () => {
    expect(toNaiveTime(1_000)).toBe('1970-01-01T00:00:01.000000');
    expect(toZonedTime(1_001)).toBe('1970-01-01T00:00:01.001000Z');
  });
});
