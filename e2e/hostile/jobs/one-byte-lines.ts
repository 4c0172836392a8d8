import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

const LINES = 400_000;

export const job: HostileJob = {
  title: 'row 35: lines of one byte are all kept',
  spec: { command: `yes '' | head -n ${LINES}`, memory_mb: 64 },
  ends: { state: 'completed', cause: null, exit_code: 0 },
  evidence: { exit_code: 0, asked_by: null },
  stdout: (text) => expect(text === '\n'.repeat(LINES), `${text.length} bytes of newlines`).toBe(true),
};
