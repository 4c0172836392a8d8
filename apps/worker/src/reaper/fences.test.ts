import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeLeaseFile } from '../lease-file.js';
import { createFences } from './fences.js';

let dir: string;
let wall: number;
let steady: number;
const open = () => createFences(dir, { wall: () => wall, steady: () => steady });
const renew = (renewed_at = wall) =>
  writeLeaseFile(dir, { installation: 'i', engine: 'e', exclusive: true, renewed_at, lease_ms: 20_000 });
const pass = (ms: number) => {
  wall += ms;
  steady += ms;
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-fences-'));
  wall = 1_800_000_000_000;
  steady = 5_000;
});
afterEach(() => rmSync(dir, { recursive: true }));

it('counts from the renewal, and anew from the next', async () => {
  const fences = open();
  await renew();
  pass(7_000);
  expect(await fences.read('i', 'e')).toEqual({ exclusive: true, lease_ms: 20_000, age_ms: 7_000 });
  await renew();
  expect(await fences.read('i', 'e')).toMatchObject({ age_ms: 0 });
  pass(3_000);
  expect(await fences.read('i', 'e')).toMatchObject({ age_ms: 3_000 });
});

it('counts what passed before this process was there', async () => {
  await renew(wall - 60_000);
  expect(await open().read('i', 'e')).toMatchObject({ age_ms: 60_000 });
});

it('counts on when the wall clock is set back', async () => {
  const fences = open();
  await renew();
  await fences.read('i', 'e');
  wall -= 3_600_000;
  pass(19_000);
  expect(await fences.read('i', 'e')).toMatchObject({ age_ms: 19_000 });
});

it('goes by nothing but the word of this installation on this engine', async () => {
  await renew();
  expect(await open().read('other', 'e')).toBeUndefined();
  expect(await open().read('i', 'other')).toBeUndefined();
});
