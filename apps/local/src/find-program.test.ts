import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { findProgram } from './find-program.js';

const folder = mkdtempSync(join(tmpdir(), 'berth-path-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('prefers the first name wherever it lies, and takes no folder or plain file', () => {
  for (const name of ['a', 'b', 'a/wanted']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'a', 'plain'), '', { mode: 0o644 });
  writeFileSync(join(folder, 'a', 'second'), '', { mode: 0o755 });
  writeFileSync(join(folder, 'b', 'wanted'), '', { mode: 0o755 });
  const path = [join(folder, 'a'), join(folder, 'b')];
  expect(findProgram(['wanted', 'second'], path)).toBe(join(folder, 'b', 'wanted'));
  expect(findProgram(['absent', 'second'], path)).toBe(join(folder, 'a', 'second'));
  expect(findProgram(['plain'], path)).toBeUndefined();
});
