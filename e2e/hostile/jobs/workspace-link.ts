import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'S5: a link in the place of /workspace is not followed',
  spec: { command: 'cd /; rm -r /workspace && ln -s /etc /workspace', memory_mb: 32, outputs: ['**'] },
  ends: { state: 'completed', cause: null, exit_code: 0 },
  evidence: { exit_code: 0, oom_kills: 0, asked_by: null },
  left: ({ files, refused, notes }) => {
    expect(files).toEqual([]);
    expect(refused).toBe(1);
    expect(notes[0]).toMatch(/^\/workspace: a symbolic link/);
  },
};
