import { expect, it } from 'vitest';
import { type Fence, type Found, judge } from './judge.js';

const NOW = 1_000_000_000;
const DUE = NOW / 1_000;

const found = (deadline: number, paused = false): Found => ({
  id: 'c',
  paused,
  labels: { installation: 'i', job_id: 'j', epoch: 1, attempt: 1, deadline },
});
const fence = (age_ms: number, more: Partial<Fence> = {}): Fence => ({
  exclusive: true,
  lease_ms: 20_000,
  age_ms,
  ...more,
});

it.each([
  ['not yet due', found(DUE + 60), undefined, 'leave'],
  ['due, within the margin', found(DUE - 5), undefined, 'leave'],
  ['past the margin', found(DUE - 6), undefined, 'kill'],
  ['paused and past the margin', found(DUE - 6, true), undefined, 'kill'],
  ['past the margin with a good lease', found(DUE - 6), fence(0), 'kill'],
  ['past the margin without a lease: the deadline comes first', found(DUE - 6), fence(60_000), 'kill'],
  ['with a good lease', found(DUE + 60), fence(13_000), 'leave'],
  ['the lease about to end', found(DUE + 60), fence(13_001), 'pause'],
  ['the lease about to end, but nobody else is there', found(DUE + 60), fence(60_000, { exclusive: false }), 'leave'],
  ['a lease that is good for longer', found(DUE + 60), fence(60_000, { lease_ms: 300_000 }), 'leave'],
  ['a longer lease, about to end', found(DUE + 60), fence(293_001, { lease_ms: 300_000 }), 'pause'],
  ['paused already', found(DUE + 60, true), fence(60_000), 'leave'],
])('%s', (_name, container, lease, verdict) => {
  expect(judge(container, NOW, lease)).toBe(verdict);
});
