import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title:
    'row 37: what is written to /tmp of the standard profile goes to the disk, not into the memory, and with the container',
  spec: { command: 'head -c 200000000 /dev/zero > /tmp/x; wc -c < /tmp/x', memory_mb: 32 },
  ends: { state: 'completed', cause: null, exit_code: 0, message: null, stdout: '200000000\n' },
  evidence: { exit_code: 0, oom_kills: 0, asked_by: null },
};
