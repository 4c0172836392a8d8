import { expect, test } from 'vitest';
import { toReport } from './report.js';

test('one violation makes the whole report bad, and is named below its invariant; many are cut short', () => {
  const ok = { invariant: 'I1', state: 'ok', note: '3 jobs', problems: [] } as const;
  const unchecked = { invariant: 'I5', state: 'unchecked', note: 'no side effects were given', problems: [] } as const;
  expect(
    toReport([
      { ...ok, problems: [] },
      { ...unchecked, problems: [] },
    ]),
  ).toMatchObject({ ok: true });
  const problems = Array.from({ length: 22 }, (_, i) => `job ${i}`);
  const report = toReport([{ invariant: 'I2', state: 'violated', note: '22 accepted jobs', problems }]);
  expect(report.ok).toBe(false);
  expect(report.lines[0]).toBe('I2 VIOLATED: every accepted job is there, and ends (22 accepted jobs)');
  expect(report.lines.slice(1)).toEqual([...problems.slice(0, 20).map((text) => `  ${text}`), '  … and 2 more']);
});
