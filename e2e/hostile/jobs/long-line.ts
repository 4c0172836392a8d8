import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 34: a line of 20 MB is cut like any other output',
  spec: { command: "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last", memory_mb: 64 },
  ends: { state: 'completed', cause: null, exit_code: 0, stdout_truncated: true },
  evidence: { exit_code: 0, oom_kills: 0, asked_by: null },
  stdout: (text) => {
    expect(text).toMatch(/^first\nx+\n\[berth\] \d+ bytes of output were cut here[^\n]*\nx+\nlast\n$/);
    expect(text.length).toBeLessThan(10.2 * 1024 * 1024);
  },
};
