import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 37: a job whose child dies of its memory limit goes on, and completes with a warning',
  spec: { command: "sh -c 'x=x; while true; do x=$x$x; done'; echo survived $?", memory_mb: 32 },
  ends: {
    ...{ state: 'completed', cause: null, exit_code: 0, stdout: 'survived 137\n' },
    message: 'A process of this job was killed for want of memory; the job itself went on and ended with exit code 0.',
  },
  evidence: { exit_code: 0, signal: null, oom_kills: 1, asked_by: null },
};
