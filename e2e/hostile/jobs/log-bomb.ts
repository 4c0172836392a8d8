import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 34: of a log of 100 MB the beginning and the end are kept, and the worker stays small',
  spec: {
    command: 'echo first; yes 0123456789012345678901234567890123456789 | head -c 100000000; echo; echo last',
    memory_mb: 64,
    timeout_seconds: 300,
  },
  ends: { state: 'completed', cause: null, exit_code: 0, stdout_truncated: true },
  evidence: { exit_code: 0, oom_kills: 0, asked_by: null },
  stdout: (text) => {
    expect(text.startsWith('first\n0123456789')).toBe(true);
    expect(text.endsWith('\nlast\n')).toBe(true);
    expect(text).toMatch(/\[berth\] 8\d{7} bytes of output were cut here/);
    expect(text.length).toBeLessThan(10.2 * 1024 * 1024);
  },
  worker_growth_mb: 50,
};
