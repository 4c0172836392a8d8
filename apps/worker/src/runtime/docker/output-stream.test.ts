import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { untilQuiet } from './output-stream.js';

const QUIET_MS = 50;

it('does not take its own standstill for the silence of the output', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-output-stream-'));
  const written = join(folder, 'written');
  const writer = spawn('sh', ['-c', `echo late; touch ${written}; read end`]);
  onTestFinished(() => {
    writer.stdin.end();
    rmSync(folder, { recursive: true });
  });
  let output = '';
  let last_byte = 0;
  writer.stdout.on('data', (chunk) => {
    output += chunk;
    last_byte = performance.now();
  });
  const quiet = untilQuiet(new Promise(() => undefined), QUIET_MS, () => last_byte);
  for (const began = performance.now(); !existsSync(written) || performance.now() - began < 2 * QUIET_MS; );
  expect(await quiet).toBe('quiet');
  expect(output).toBe('late\n');
});
