import { expect, it } from 'vitest';
import { timeParam } from './request-input.js';

const time = timeParam('');
const toMs = (text: string) => time.safeParse(text).data;

it.each([
  ['2026-11-23T08:00:00Z', Date.UTC(2026, 10, 23, 8)],
  ['2026-11-23t08:00:00.25z', Date.UTC(2026, 10, 23, 8) + 250],
  ['2024-02-29T01:00:00+02:00', Date.UTC(2024, 1, 28, 23)],
  ['1795420800', Date.UTC(2026, 10, 23, 8)],
  ['1795420800.123', Date.UTC(2026, 10, 23, 8) + 123],
  ['1795420800.1234', Date.UTC(2026, 10, 23, 8) + 123],
  ['0', 0],
])('%s is a time', (text, ms) => {
  expect(toMs(text)).toBe(ms);
});

it.each([
  'yesterday',
  '',
  '2026-11-23',
  '2026-11-23T08:00:00',
  '2026-11-23T08:00:00 02:00',
  '2026-02-29T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '-1',
  '1e9',
  '1795420800000',
])('%j is none', (text) => {
  expect(time.safeParse(text).error?.issues.map(({ message }) => message)).toEqual([
    'must be a time such as 2026-11-23T08:00:00Z (write a + as %2B), or Unix seconds',
  ]);
});
