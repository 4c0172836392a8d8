import { describe, expect, test } from 'vitest';
import { checkReserved } from './reserved.js';

const nothing = { centicpus: 0, memory_mb: 0, gpus: 0 };
const some = { centicpus: 100, memory_mb: 64, gpus: 0 };
const capacity = { centicpus: 200, memory_mb: 1024, gpus: 0 };

describe('I7', () => {
  test('holds where the ledger is the sum of what runs', () => {
    expect(checkReserved([{ engine: 'e', ledger: some, jobs: some, capacity }], false)).toEqual([]);
    expect(checkReserved([{ engine: 'e', ledger: nothing, jobs: nothing, capacity: undefined }], true)).toEqual([]);
  });

  test.each([
    ['room that was not given back', some, nothing, true, /has reserved 100 centicpus.*; its jobs ask for 0/],
    ['a reservation at rest', some, some, true, /still has reserved/],
    ['a job that reserved nothing', nothing, some, false, /has reserved 0 centicpus.*; its jobs ask for 100/],
    ['less than nothing', { ...nothing, memory_mb: -64 }, nothing, false, /less than nothing/],
    ['more than there is', { ...some, centicpus: 300 }, { ...some, centicpus: 300 }, false, /300 centicpus.* of 200/],
  ])('sees %s', (_, ledger, jobs, settled, problem) => {
    expect(checkReserved([{ engine: 'e', ledger, jobs, capacity }], settled).join('\n')).toMatch(problem);
  });
});
