import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseLabels, toLabels } from './container-labels.js';

test('labels come back as they were written', () => {
  const count = fc.integer({ min: 0, max: 2 ** 40 });
  const labels = fc.record({
    job_id: fc.string(),
    installation: fc.string(),
    epoch: count,
    attempt: count,
    deadline: count,
  });
  fc.assert(
    fc.property(labels, (l) => {
      expect(parseLabels(toLabels(l))).toEqual(l);
    }),
  );
});

test('labels of others are nobody', () => {
  const ours = toLabels({ job_id: 'j', installation: 'i', epoch: 1, attempt: 1, deadline: 1 });
  expect(parseLabels({})).toBeUndefined();
  expect(parseLabels({ ...ours, 'berth.epoch': '1e3' })).toBeUndefined();
  expect(parseLabels({ ...ours, 'berth.deadline': '-1' })).toBeUndefined();
});
