import { expect, test } from 'vitest';
import { toCandidates } from './missing-program.js';

test('a bare name is looked for along the PATH of the container, another where it points', () => {
  expect(toCandidates('tool', ['A=b', 'PATH=/one:/two'], '/workspace')).toEqual(['/one/tool', '/two/tool']);
  expect(toCandidates('tool', [], '/workspace')).toContain('/usr/bin/tool');
  expect(toCandidates('./tool', [], '/workspace')).toEqual(['/workspace/tool']);
  expect(toCandidates('/bin/tool', [], '/workspace')).toEqual(['/bin/tool']);
});
