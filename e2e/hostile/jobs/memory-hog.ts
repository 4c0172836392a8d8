import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 37: a memory hog dies of its own limit',
  spec: { command: 'x=x; while true; do x=$x$x; done', memory_mb: 32 },
  ends: { state: 'failed', cause: 'out_of_memory', exit_code: 137 },
  evidence: { exit_code: 137, signal: 'SIGKILL', oom_kills: 1, asked_by: null },
};
